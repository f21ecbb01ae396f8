// Merges partial results by LSE: with m = max(a, b) of both rows' LSE, O is the
// mean of their outputs, weighted by exp(a - m) and exp(b - m), and the new LSE
// is m + log of the sum of weights. A warp takes a row and a head.

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Octet.h"
#include "codegen/nvptx/kernel_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cstddef>
#include <limits>

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr int threads = 256, lanes = 32, floatBytes = 4,
                     elementBytes = 2;
static constexpr float log2e = 1.4426950408889634f, ln2 = 0.6931471805599453f;
static constexpr float infinity = std::numeric_limits<float>::infinity();

namespace {

// Where one head of one row lies.
struct HeadRow {
  Value partial, partialLse, accumulator, lse, output; // addresses
  Value first, last;                                   // flags
};

// What a row's outputs are multiplied by; a row without keys has no value.
struct Weights {
  Value partial, accumulator, lse;
  Value partialEmpty, accumulatorEmpty;
};

} // namespace

static HeadRow loadHeadRow(DeviceEmitter &emit, Arguments &arguments,
                           Value item, Value row, Value head) {
  auto headOf = [&](size_t offset, Value elements, int bytes) {
    Value buffer = emit.loadGlobal(emit.i32(), item,
                                   offset + offsetof(gpu::BufferRow, buffer));
    Value first = emit.loadGlobal(emit.i32(), item,
                                  offset + offsetof(gpu::BufferRow, row));
    return emit.add(arguments.rowAddress(buffer, emit.add(first, row)),
                    emit.mul(emit.widenUnsigned(elements), bytes));
  };
  Value column = emit.mul(head, arguments.valueDim());
  Value flags =
      emit.loadGlobal(emit.i32(), item, offsetof(gpu::MergeItem, flags));
  auto isSet = [&](int64_t flag) {
    return emit.notEqual(emit.bitAnd(flags, flag), 0);
  };
  return {headOf(offsetof(gpu::MergeItem, partial), column, floatBytes),
          headOf(offsetof(gpu::MergeItem, partial_lse), head, floatBytes),
          headOf(offsetof(gpu::MergeItem, accumulator), column, floatBytes),
          headOf(offsetof(gpu::MergeItem, lse), head, floatBytes),
          headOf(offsetof(gpu::MergeItem, output), column, elementBytes),
          isSet(gpu::ForwardTile::kFirst),
          isSet(gpu::ForwardTile::kLast)};
}

static Value compare(DeviceEmitter &emit, Value a, float b) {
  return arith::CmpFOp::create(emit.builder, arith::CmpFPredicate::OEQ, a,
                               emit.f32(b));
}

// Weighs both sides of a row. All lanes read the old LSE before one writes the
// new one.
static Weights weigh(DeviceEmitter &emit, const HeadRow &row) {
  Value partial = emit.loadGlobal(emit.f32(), row.partialLse);
  Value lse = emit.ifElse(
      row.first, {emit.f32()}, [&] { return Values{emit.f32(-infinity)}; },
      [&] { return Values{emit.loadGlobal(emit.f32(), row.lse)}; })[0];
  Value most = emit.maxNumber(partial, lse);
  most = emit.select(compare(emit, most, -infinity), emit.f32(0), most);
  auto weight = [&](Value a) {
    return emit.exp2(emit.mulf(emit.subf(a, most), emit.f32(log2e)));
  };
  Value a = weight(partial), b = weight(lse);
  Value sum = emit.addf(a, b);
  Value log = emit.fma(emit.log2(sum), emit.f32(ln2), most);
  Value none = compare(emit, sum, 0);
  Value scale = emit.select(none, emit.f32(0), emit.reciprocal(sum));
  return {emit.mulf(a, scale), emit.mulf(b, scale),
          emit.select(none, emit.f32(-infinity), log),
          compare(emit, partial, -infinity), compare(emit, lse, -infinity)};
}

// Builds the merge of this lane's columns, eight at a time.
static void mergeColumns(DeviceEmitter &emit, Element element, Value lane,
                         Value valueDim, const HeadRow &row,
                         const Weights &weights, bool wide) {
  IndexRange columns = {emit.mul(lane, kOctet), valueDim};
  emit.loop(columns, lanes * kOctet, [&](Value column) {
    Value offset = emit.widenUnsigned(column);
    auto at = [&](Value first, int bytes) {
      return emit.add(first, emit.mul(offset, bytes));
    };
    // Loads one side, zeros if it holds nothing.
    auto load = [&](Value first, Value empty) {
      Values zeros(kOctet, emit.f32(0));
      return emit.ifElse(
          empty, TypeRange(ValueRange(zeros)), [&] { return zeros; },
          [&] { return loadFloats(emit, at(first, floatBytes), wide); });
    };
    Values sums = load(row.partial, weights.partialEmpty);
    Values old = load(row.accumulator, weights.accumulatorEmpty);
    for (int i = 0; i < kOctet; ++i)
      sums[i] = emit.fma(sums[i], weights.partial,
                         emit.mulf(old[i], weights.accumulator));
    emit.ifElse(
        row.last, {},
        [&] {
          storeElements(emit, element, sums, at(row.output, elementBytes),
                        wide);
          return Values();
        },
        [&] {
          storeFloats(emit, sums, at(row.accumulator, floatBytes), wide);
          return Values();
        });
  });
}

static void mergeHead(DeviceEmitter &emit, Arguments &arguments,
                      Element element, Value item, Value row, Value head) {
  Value lane = emit.bitAnd(emit.threadId(), lanes - 1);
  Value valueDim = arguments.valueDim();
  HeadRow at = loadHeadRow(emit, arguments, item, row, head);
  Weights weights = weigh(emit, at);
  auto merge = [&](bool wide) {
    mergeColumns(emit, element, lane, valueDim, at, weights, wide);
    return Values();
  };
  emit.ifElse(
      allWide(emit, {at.partial, at.accumulator, at.output}), {},
      [&] { return merge(true); }, [&] { return merge(false); });
  emit.synchroniseWarp();
  emit.ifThen(emit.isEqual(lane, 0),
              [&] { emit.storeGlobal(weights.lse, at.lse); });
}

void buildMerge(ModuleOp module, Element element) {
  LaunchBounds bounds = {threads, kMemorySharedBytes};
  std::string symbol = "flashcp_merge_" + elementName(element).str();
  addDeviceKernel(
      module, symbol, bounds, [&](DeviceEmitter &emit, Value pointer) {
        Arguments arguments(emit, pointer);
        forEachItem(
            emit, arguments, sizeof(gpu::MergeItem), emit.sharedBase(),
            [&](Value item) {
              auto field = [&](Type type, size_t offset) {
                return emit.loadGlobal(type, item, offset);
              };
              auto head = [&](size_t offset) {
                return arith::ExtUIOp::create(emit.builder, emit.i32(),
                                              field(emit.i16(), offset));
              };
              Value rows = field(emit.i32(), offsetof(gpu::MergeItem, rows));
              Value begin = head(offsetof(gpu::MergeItem, head_begin));
              Value heads =
                  emit.sub(head(offsetof(gpu::MergeItem, head_end)), begin);
              Value warp = emit.div(emit.threadId(), lanes);
              IndexRange units = {warp, emit.mul(rows, heads)};
              emit.loop(units, threads / lanes, [&](Value i) {
                mergeHead(emit, arguments, element, item, emit.divide(i, heads),
                          emit.add(begin, emit.remainder(i, heads)));
              });
            });
      });
}

} // namespace flashcp::codegen::nvptx
