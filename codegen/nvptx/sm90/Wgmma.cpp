// The text of the statements. PTX ISA, "Asynchronous Warpgroup Level Matrix
// Multiply-Accumulate Operation".

#include "codegen/nvptx/sm90/Wgmma.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

// Bytes of 8 rows, which a swizzle of 128 bytes covers.
static constexpr int64_t atomBytes = 8 * rowBytes;
// Descriptors count in units of 16 bytes.
static constexpr int unitBits = 4;
static constexpr int64_t swizzle128 = int64_t(1) << 62;

int SharedMatrix::stepOffset(int k) const {
  if (major == Major::result)
    return (k * stepDepth * rowBytes) >> unitBits;
  constexpr int perSlice = sliceColumns / stepDepth;
  int bytes =
      k / perSlice * tileRows * rowBytes + k % perSlice * (rowBytes / perSlice);
  return bytes >> unitBits;
}

// Descriptors hold the low 18 bits of an address.
SharedMatrix matrixAt(DeviceEmitter &emit, Value address, Major major,
                      int tileRows) {
  int64_t leading = major == Major::depth ? 1 : tileRows * rowBytes >> unitBits;
  int64_t layout = swizzle128 | (atomBytes >> unitBits) << 32 | leading << 16;
  Value start = emit.shiftRight(emit.bitAnd(address, (1 << 18) - 1), unitBits);
  return {emit.bitOr(emit.widenUnsigned(start), emit.i64(layout)), major,
          tileRows};
}

// Joins `count` copies by commas.
static std::string repeat(StringRef text, int count) {
  return llvm::join(SmallVector<StringRef>(count, text), ",");
}

// Returns "{$first, $first+1, ...}".
static std::string registerList(int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i ? ", $" : "$") + std::to_string(first + i);
  return "{" + text + "}";
}

static std::string constraintList(ArrayRef<std::string> parts) {
  return llvm::join(llvm::make_filter_range(
                        parts, [](const std::string &s) { return !s.empty(); }),
                    ",");
}

// Ties operands 0, 1, ... to results.
static std::string tied(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i ? "," : "") + std::to_string(i);
  return text;
}

namespace {

/// The statement of a product; operands are numbered results first.
class ProductText {
public:
  explicit ProductText(const Product &product)
      : product(product), sumCount(product.columns / 2),
        fromRegisters(!product.aRegisters.empty()),
        firstA(sumCount + product.sums.size()),
        operandB(firstA + (fromRegisters ? product.aRegisters.size() : 1)) {}

  std::string text() const {
    std::string text = "{ .reg .pred zero, one; .reg .b64 da, db; "
                       "setp.ne.b32 zero, 0, 0; setp.eq.b32 one, 0, 0; "
                       "wgmma.fence.sync.aligned; ";
    for (int k = 0; k < product.steps; ++k)
      text += step(k);
    return text + "wgmma.commit_group.sync.aligned; }";
  }

  std::string constraints() const {
    std::string a = fromRegisters ? repeat("r", product.aRegisters.size())
                                  : std::string("l");
    return constraintList(
        {repeat("=&f", sumCount), tied(product.sums.size()), a, "l"});
  }

private:
  std::string step(int k) const {
    std::string a =
        fromRegisters ? registerList(firstA + 4 * k, 4) : std::string("da");
    std::string text = llvm::formatv("add.s64 db, ${0}, {1}; ", operandB,
                                     product.b.stepOffset(k));
    if (!fromRegisters)
      text += llvm::formatv("add.s64 da, ${0}, {1}; ", firstA,
                            product.a.stepOffset(k));
    StringRef type = elementName(product.element);
    text += llvm::formatv("wgmma.mma_async.sync.aligned.m64n{0}k16.f32.{1}.{1} "
                          "{2}, {3}, db, {4}, 1, 1",
                          product.columns, type, registerList(0, sumCount), a,
                          k == 0 && product.sums.empty() ? "zero" : "one");
    if (!fromRegisters)
      text += transposed(product.a);
    return text + transposed(product.b) + "; ";
  }

  static const char *transposed(const SharedMatrix &matrix) {
    return matrix.major == Major::result ? ", 1" : ", 0";
  }

  const Product &product;
  const int sumCount;
  const bool fromRegisters;
  const int firstA, operandB;
};

} // namespace

Values issue(DeviceEmitter &emit, const Product &product) {
  ProductText statement(product);
  Values operands = product.sums;
  if (product.aRegisters.empty())
    operands.push_back(product.a.descriptor);
  else
    operands.append(product.aRegisters);
  operands.push_back(product.b.descriptor);
  SmallVector<Type> results(product.columns / 2, emit.f32());
  return emit.ptx(statement.text(), statement.constraints(), operands, results);
}

Values waitFor(DeviceEmitter &emit, int pending, ValueRange sums,
               ValueRange reads) {
  Values operands(sums);
  operands.append(reads.begin(), reads.end());
  std::string constraints =
      constraintList({repeat("=f", sums.size()), tied(sums.size()),
                      repeat("r", reads.size())});
  return emit.ptx("wgmma.wait_group.sync.aligned " + Twine(pending) + ";",
                  constraints, operands, SmallVector<Type>(sums.getTypes()));
}

Values pin(DeviceEmitter &emit, ValueRange floats) {
  std::string constraints =
      constraintList({repeat("=f", floats.size()), tied(floats.size())});
  return emit.ptx("", constraints, floats,
                  SmallVector<Type>(floats.getTypes()));
}

void fenceForAsync(DeviceEmitter &emit) {
  emit.ptx("fence.proxy.async.shared::cta;", "~{memory}", {}, {});
}

} // namespace flashcp::codegen::nvptx::sm90
