// Chooses between an instruction of the target and, for kernels that any
// x86-64-v3 must run, others with equal results.

#include "codegen/x86/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;

namespace flashcp::codegen::x86 {

static constexpr int kLineBytes = 64;

VectorEmitter::VectorEmitter(ImplicitLocOpBuilder &builder,
                             const KernelShape &shape)
    : Emitter(builder), kernel(shape) {}

MemRefType VectorEmitter::memref(Type element, ArrayRef<int64_t> sizes) {
  return MemRefType::get(sizes, element);
}

Type VectorEmitter::wordType() {
  return target().pairs ? Type(builder.getI32Type()) : floatType();
}

VectorType VectorEmitter::floats() {
  return VectorType::get({target().lanes}, builder.getF32Type());
}

VectorType VectorEmitter::words() {
  return VectorType::get({target().lanes}, wordType());
}

VectorType VectorEmitter::ints() {
  return VectorType::get({target().lanes}, builder.getI32Type());
}

Value VectorEmitter::splat(float value) { return constant(floats(), value); }

Value VectorEmitter::splatInt(int32_t value) { return constant(ints(), value); }

Value VectorEmitter::broadcast(Value scalar, VectorType type) {
  return vector::BroadcastOp::create(builder, type, scalar);
}

Value VectorEmitter::load(Value memref, ValueRange indices, VectorType type) {
  auto load = vector::LoadOp::create(builder, type, memref, indices);
  load.setAlignment(type.getNumElements() * 4);
  return load;
}

void VectorEmitter::store(Value vector, Value memref, ValueRange indices) {
  auto store = vector::StoreOp::create(builder, vector, memref, indices);
  store.setAlignment(cast<VectorType>(vector.getType()).getNumElements() * 4);
}

void VectorEmitter::prefetchShare(Value addresses, Value share, Value count) {
  auto type = LLVM::LLVMPointerType::get(builder.getContext());
  Value first = mul(share, count);
  loop({first, add(first, count)}, 1, [&](Value pair) {
    Value address = loadScalar(addresses, pair);
    Value line = LLVM::IntToPtrOp::create(builder, type, address);
    Value second = LLVM::GEPOp::create(builder, type, builder.getI8Type(), line,
                                       ArrayRef<LLVM::GEPArg>{kLineBytes});
    for (Value each : {line, second})
      LLVM::Prefetch::create(builder, each, /*rw=*/0, /*hint=*/2, /*cache=*/1);
  });
}

Values VectorEmitter::loadTile(Value memref, ValueRange place, Value row,
                               int rows, int columns) {
  Values tile;
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      Values indices(place);
      indices.append({add(row, i), column(j)});
      tile.push_back(load(memref, indices, floats()));
    }
  }
  return tile;
}

void VectorEmitter::storeTile(ValueRange tile, Value memref, ValueRange place,
                              Value row, int columns) {
  for (auto [i, vector] : llvm::enumerate(tile)) {
    Values indices(place);
    indices.append({add(row, i / columns), column(i % columns)});
    store(vector, memref, indices);
  }
}

// Returns bf16 in the low halves of i32, rounded to nearest even; not for NaN.
Value VectorEmitter::bf16Bits(Value floats) {
  Value bits = vector::BitCastOp::create(builder, ints(), floats);
  Value odd = arith::AndIOp::create(
      builder, arith::ShRUIOp::create(builder, bits, splatInt(16)).getResult(),
      splatInt(1));
  bits = add(add(bits, odd), splatInt(0x7fff));
  return arith::ShRUIOp::create(builder, bits, splatInt(16));
}

// Builds one instruction; LLVM would make three of truncf and concatenation.
Value VectorEmitter::roundTwo(Value a, Value b) {
  int lanes = target().lanes;
  auto type = VectorType::get({2 * lanes}, builder.getBF16Type());
  if (!kernel.emulated)
    return LLVM::CallIntrinsicOp::create(
               builder, type,
               builder.getStringAttr("llvm.x86.avx512bf16.cvtne2ps2bf16.512"),
               ValueRange{b, a})
        .getResults();
  Value bits = vector::ShuffleOp::create(
      builder, bf16Bits(a), bf16Bits(b),
      llvm::to_vector(llvm::seq<int64_t>(0, 2 * lanes)));
  auto shorts = type.clone(builder.getI16Type());
  return vector::BitCastOp::create(
      builder, type,
      arith::TruncIOp::create(builder, shorts, bits).getResult());
}

Value VectorEmitter::pairUp(Value rounded) {
  SmallVector<int64_t> order;
  for (int i = 0; i < target().lanes; ++i)
    order.append({i, i + target().lanes});
  Value pairs = vector::ShuffleOp::create(builder, rounded, rounded, order);
  return vector::BitCastOp::create(builder, words(), pairs);
}

Value VectorEmitter::pairNeighbours(Value rounded, int which) {
  Value pairs = vector::BitCastOp::create(builder, words(), rounded);
  int64_t half = target().lanes / 2;
  return vector::ExtractStridedSliceOp::create(
      builder, pairs, ArrayRef<int64_t>{which * half}, ArrayRef<int64_t>{half},
      ArrayRef<int64_t>{1});
}

// Returns one bf16 of each word, as f32.
Value VectorEmitter::halfOfPairs(Value words, bool high) {
  Value bits =
      high ? arith::AndIOp::create(builder, words, splatInt(0xffff0000))
                 .getResult()
           : arith::ShLIOp::create(builder, words, splatInt(16)).getResult();
  return vector::BitCastOp::create(builder, floats(), bits);
}

Value VectorEmitter::multiplyAdd(Value a, Value b, Value sum) {
  if (!target().pairs)
    return fma(a, b, sum);
  if (!kernel.emulated) {
    auto pairs = VectorType::get({2 * target().lanes}, builder.getBF16Type());
    return x86vector::DotBF16Op::create(
        builder, sum, vector::BitCastOp::create(builder, pairs, a),
        vector::BitCastOp::create(builder, pairs, b));
  }
  for (bool high : {true, false})
    sum = fma(halfOfPairs(a, high), halfOfPairs(b, high), sum);
  return sum;
}

Values VectorEmitter::product(IndexRange range, int rows, int columns,
                              ValueRange sums,
                              function_ref<Value(int, Value)> left,
                              function_ref<Value(int, Value)> right) {
  return loop(range, kProductStep, sums, [&](Value first, ValueRange carried) {
    Values sums(carried);
    for (int step = 0; step < kProductStep; ++step) {
      Value k = add(first, step);
      Values vectors;
      for (int j = 0; j < columns; ++j)
        vectors.push_back(right(j, k));
      for (int i = 0; i < rows; ++i) {
        Value scalar = broadcast(left(i, k), words());
        for (int j = 0; j < columns; ++j) {
          Value &sum = sums[i * columns + j];
          sum = multiplyAdd(scalar, vectors[j], sum);
        }
      }
    }
    return sums;
  });
}

Values VectorEmitter::dotProducts(Value packed, Value key, Value depth,
                                  int first,
                                  function_ref<Value(int, Value)> panel) {
  int group = target().group, columns = target().rowVectors - first;
  Value firstWord = mul(key, depth);
  Values zeros(group * columns, splat(0));
  return product(
      {index(0), depth}, group, columns, zeros,
      [&](int i, Value k) {
        Value word = add(firstWord, mul(k, index(group)));
        return loadScalar(packed, add(word, i));
      },
      [&](int j, Value k) { return panel(first + j, k); });
}

Values VectorEmitter::scaledScores(Values products, Value scale) {
  if (!target().pairs)
    return products;
  Value factor = broadcast(scale, floats());
  for (Value &product : products)
    product = mulf(product, factor);
  return products;
}

Values VectorEmitter::selectVisible(ValueRange tile, int first, Value firstKey,
                                    Value visible,
                                    function_ref<Value(int)> rowOf,
                                    Value otherwise) {
  int columns = target().rowVectors - first;
  Values selected;
  for (auto [i, value] : llvm::enumerate(tile)) {
    Value key = add(broadcast(firstKey, ints()), splatInt(i / columns));
    Value row = rowOf(first + i % columns);
    Value begin = load(visible, {index(0), row}, ints());
    Value end = load(visible, {index(1), row}, ints());
    selected.push_back(
        select(both(atMost(begin, key), lessThan(key, end)), value, otherwise));
  }
  return selected;
}

void VectorEmitter::addProduct(IndexRange range, int first, Values &sums,
                               function_ref<Value(int, Value)> left,
                               function_ref<Value(int, Value)> right) {
  int vectors = target().rowVectors;
  SmallVector<Value *> places;
  for (auto [i, sum] : llvm::enumerate(sums))
    if (static_cast<int>(i) % vectors >= first)
      places.push_back(&sum);
  Values some = llvm::map_to_vector(places, [](Value *sum) { return *sum; });
  some = product(range, target().group, vectors - first, some, left,
                 [&](int j, Value k) { return right(first + j, k); });
  for (auto [place, sum] : llvm::zip(places, some))
    *place = sum;
}

} // namespace flashcp::codegen::x86
