// Vectors of one width, that of a target, on top of what all targets share:
// the loads, conversions and products that both kernels are written with.

#ifndef FLASHCP_CODEGEN_X86_VECTOREMITTER_H_
#define FLASHCP_CODEGEN_X86_VECTOREMITTER_H_

#include "codegen/common/Emitter.h"
#include "codegen/x86/KernelShape.h"

namespace flashcp::codegen::x86 {

/// Builder of the ops of one kernel.
class VectorEmitter : public Emitter {
public:
  VectorEmitter(mlir::ImplicitLocOpBuilder &builder, const KernelShape &shape);

  const KernelShape &shape() const { return kernel; }
  const KernelTarget &target() const { return *kernel.target; }

  // Types.
  mlir::MemRefType memref(mlir::Type element, llvm::ArrayRef<int64_t> sizes);
  mlir::Type floatType() { return builder.getF32Type(); }
  mlir::Type wordType();     // what one broadcast multiplies by
  mlir::VectorType floats(); // one vector of f32
  mlir::VectorType words();  // one vector of words
  mlir::VectorType ints();   // one vector of i32

  // Vectors whose lanes are equal.
  mlir::Value splat(float value);
  mlir::Value splatInt(int32_t value);
  mlir::Value broadcast(mlir::Value scalar, mlir::VectorType type);

  // Memory; vectors are aligned to their size.
  mlir::Value load(mlir::Value memref, mlir::ValueRange indices,
                   mlir::VectorType type);
  void store(mlir::Value vector, mlir::Value memref, mlir::ValueRange indices);
  /// Fetches `count` pairs of lines, at addresses that are i64, into the second
  /// cache: the share of number `share`, after those of smaller numbers.
  void prefetchShare(mlir::Value addresses, mlir::Value share,
                     mlir::Value count);
  /// Loads a tile of f32: `rows` rows from `row` on, `columns` vectors each.
  /// The memory's dimensions before rows and columns are indexed by `place`.
  Values loadTile(mlir::Value memref, mlir::ValueRange place, mlir::Value row,
                  int rows, int columns);
  void storeTile(mlir::ValueRange tile, mlir::Value memref,
                 mlir::ValueRange place, mlir::Value row, int columns);

  /// Rounds two vectors of f32 to bf16, one after the other.
  mlir::Value roundTwo(mlir::Value a, mlir::Value b);
  /// Returns words that pair equal lanes of the two.
  mlir::Value pairUp(mlir::Value rounded);
  /// Returns half a vector of words, which pair neighbouring lanes of the first
  /// (`which` 0) or the second (1).
  mlir::Value pairNeighbours(mlir::Value rounded, int which);

  /// Returns sums[i * columns + j] + the sum over k of left(i, k) * right(j,
  /// k): a word times a vector of words. The sums stay in registers.
  Values product(IndexRange range, int rows, int columns, mlir::ValueRange sums,
                 llvm::function_ref<mlir::Value(int i, mlir::Value k)> left,
                 llvm::function_ref<mlir::Value(int j, mlir::Value k)> right);

  /// Multiplies rows [key, key + group) of a packed matrix, [row /
  /// group][depth] [group] words, by vectors of the panel from `first` on:
  /// panel(j, k) is vector j at depth k. Returns a vector for each row and
  /// vector of the panel.
  Values
  dotProducts(mlir::Value packed, mlir::Value key, mlir::Value depth, int first,
              llvm::function_ref<mlir::Value(int j, mlir::Value k)> panel);

  /// Scales K Q^T if words are pairs; queries of f32 are scaled when they are
  /// packed. Both passes round scores alike, or P of backward would not match
  /// the LSE and O of forward.
  Values scaledScores(Values products, mlir::Value scale);

  /// Replaces by `otherwise` what rows do not see of a tile of dotProducts, of
  /// keys from `firstKey`, an i32, on. `visible` is [2][row]: the first key
  /// that a row sees, the one after its last; rowOf(j) is the first row of
  /// vector j.
  Values selectVisible(mlir::ValueRange tile, int first, mlir::Value firstKey,
                       mlir::Value visible,
                       llvm::function_ref<mlir::Value(int j)> rowOf,
                       mlir::Value otherwise);

  /// Adds a product of a group of rows to the panel's sums, from vector `first`
  /// on.
  void addProduct(IndexRange range, int first, Values &sums,
                  llvm::function_ref<mlir::Value(int i, mlir::Value k)> left,
                  llvm::function_ref<mlir::Value(int j, mlir::Value k)> right);

private:
  mlir::Value multiplyAdd(mlir::Value a, mlir::Value b, mlir::Value sum);
  mlir::Value halfOfPairs(mlir::Value words, bool high);
  mlir::Value bf16Bits(mlir::Value floats);
  mlir::Value column(int j) { return index(j * target().lanes); }

  const KernelShape kernel;
};

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_VECTOREMITTER_H_
