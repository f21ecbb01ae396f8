// What kernels are written with: OpBuilder with one location, values of one
// vector width, and the loops, conversions and products that every kernel uses.

#ifndef FLASHCP_COMPILER_CODEGEN_EMITTER_H
#define FLASHCP_COMPILER_CODEGEN_EMITTER_H

#include "compiler/codegen/KernelShape.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace flashcp::codegen {

/// Half-open range of index values.
struct IndexRange {
  mlir::Value begin, end;
};

using Values = llvm::SmallVector<mlir::Value>;

class Emitter {
public:
  Emitter(mlir::ImplicitLocOpBuilder &builder, const KernelShape &shape);

  const KernelShape &shape() const { return kernel; }
  const KernelTarget &target() const { return *kernel.target; }

  // Types.
  mlir::MemRefType memref(mlir::Type element, llvm::ArrayRef<int64_t> sizes);
  mlir::Type floatType() { return builder.getF32Type(); }
  mlir::Type wordType();     // what one broadcast multiplies by
  mlir::VectorType floats(); // one vector of f32
  mlir::VectorType words();  // one vector of words
  mlir::VectorType ints();   // one vector of i32

  // Constants and scalars.
  mlir::Value index(int64_t value);
  mlir::Value splat(float value);
  mlir::Value splatInt(int32_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, int64_t b);
  mlir::Value minimum(mlir::Value a, mlir::Value b);
  mlir::Value maximum(mlir::Value a, mlir::Value b);
  mlir::Value toInt32(mlir::Value index);
  mlir::Value broadcast(mlir::Value scalar, mlir::VectorType type);

  // Memory; vectors are aligned to their size.
  mlir::Value load(mlir::Value memref, mlir::ValueRange indices,
                   mlir::VectorType type);
  mlir::Value loadScalar(mlir::Value memref, mlir::ValueRange indices);
  void store(mlir::Value vector, mlir::Value memref, mlir::ValueRange indices);
  /// Asks for the line at an address, an i64, in the second cache.
  void prefetch(mlir::Value address);
  /// A tile of f32: `rows` rows from `row` on, `columns` vectors of each. The
  /// memory's dimensions before rows and columns are indexed by `place`.
  Values loadTile(mlir::Value memref, mlir::ValueRange place, mlir::Value row,
                  int rows, int columns);
  void storeTile(mlir::ValueRange tile, mlir::Value memref,
                 mlir::ValueRange place, mlir::Value row, int columns);

  // Arithmetic on vectors of f32.
  mlir::Value addf(mlir::Value a, mlir::Value b);
  mlir::Value subf(mlir::Value a, mlir::Value b);
  mlir::Value mulf(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value sum);
  /// The larger one; b where one of them is NaN.
  mlir::Value maxf(mlir::Value a, mlir::Value b);
  /// The smaller one; b where one of them is NaN.
  mlir::Value minf(mlir::Value a, mlir::Value b);
  /// Two vectors of f32, rounded to bf16, one after the other.
  mlir::Value roundTwo(mlir::Value a, mlir::Value b);
  /// Words that pair what is at one place of either of the two.
  mlir::Value pairUp(mlir::Value rounded);
  /// Half a vector of words, that pair neighbours of the first, or second.
  mlir::Value pairNeighbours(mlir::Value rounded, int which);
  mlir::Value select(mlir::Value mask, mlir::Value a, mlir::Value b);

  /// for (i = begin; i < end; i += step), carrying `init`.
  Values loop(IndexRange range, int64_t step, mlir::ValueRange init,
              llvm::function_ref<Values(mlir::Value i, mlir::ValueRange)> body);
  void loop(IndexRange range, int64_t step,
            llvm::function_ref<void(mlir::Value i)> body);
  /// `condition ? whenTrue() : whenFalse()`, of `count` vectors of f32.
  Values ifElse(mlir::Value condition, int count,
                llvm::function_ref<Values()> whenTrue,
                llvm::function_ref<Values()> whenFalse);
  /// a <= b and a < b for integers and vectors of them, and both conditions.
  mlir::Value atMost(mlir::Value a, mlir::Value b);
  mlir::Value lessThan(mlir::Value a, mlir::Value b);
  mlir::Value both(mlir::Value a, mlir::Value b);

  /// sums[i * columns + j] + the sum over k of left(i, k) * right(j, k): a word
  /// times a vector of words. The sums stay in registers.
  Values product(IndexRange range, int rows, int columns, mlir::ValueRange sums,
                 llvm::function_ref<mlir::Value(int i, mlir::Value k)> left,
                 llvm::function_ref<mlir::Value(int j, mlir::Value k)> right);

  /// Rows [key, key + group) of a packed matrix, [row / group][depth][group]
  /// words, times vectors of the panel from `first` on: panel(j, k) is vector
  /// j at depth k. For each row of the matrix a vector for each of the panel's.
  Values
  dotProducts(mlir::Value packed, mlir::Value key, mlir::Value depth, int first,
              llvm::function_ref<mlir::Value(int j, mlir::Value k)> panel);

  /// K Q^T as both passes take it: times `scale` where words are pairs;
  /// queries of f32 are scaled when they are packed. Both passes round scores
  /// alike, or P of backward would not match the LSE and O of forward.
  Values scaledScores(Values products, mlir::Value scale);

  /// A tile as of dotProducts, of keys from `firstKey`, an i32, on; `otherwise`
  /// where a row does not see the key. `visible` is [2][row]: the first key
  /// that a row sees, the one after its last; rowOf(j) the first row of vector
  /// j.
  Values selectVisible(mlir::ValueRange tile, int first, mlir::Value firstKey,
                       mlir::Value visible,
                       llvm::function_ref<mlir::Value(int j)> rowOf,
                       mlir::Value otherwise);

  /// Adds such a product of a group of rows to the panel's sums, of its vectors
  /// from `first` on.
  void addProduct(IndexRange range, int first, Values &sums,
                  llvm::function_ref<mlir::Value(int i, mlir::Value k)> left,
                  llvm::function_ref<mlir::Value(int j, mlir::Value k)> right);

  mlir::ImplicitLocOpBuilder &builder;

private:
  mlir::Value multiplyAdd(mlir::Value a, mlir::Value b, mlir::Value sum);
  mlir::Value halfOfPairs(mlir::Value words, bool high);
  mlir::Value bf16Bits(mlir::Value floats);
  mlir::Value column(int j) { return index(j * target().lanes); }

  const KernelShape kernel;
};

/// Adds a function of the module that the builder is at the end of; memory
/// arguments do not overlap. `build` fills its body.
void addKernel(Emitter &emit, llvm::StringRef symbol, mlir::TypeRange arguments,
               llvm::function_ref<void(mlir::Block *)> build);

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_EMITTER_H
