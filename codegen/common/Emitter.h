// The builder that kernels of all targets are written with: OpBuilder with one
// location, index arithmetic, loops and branches, and arithmetic on vectors of
// f32 of any width.

#ifndef FLASHCP_CODEGEN_COMMON_EMITTER_H_
#define FLASHCP_CODEGEN_COMMON_EMITTER_H_

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace flashcp::codegen {

/// Half-open range of index values, or of integers of one type.
struct IndexRange {
  mlir::Value begin, end;
};

using Values = llvm::SmallVector<mlir::Value>;

class Emitter {
public:
  explicit Emitter(mlir::ImplicitLocOpBuilder &builder) : builder(builder) {}

  // Constants and scalars: index values, or integers of one type.
  mlir::Value index(int64_t value);
  /// Returns a constant of the type of `a`.
  mlir::Value like(mlir::Value a, int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, int64_t b);
  mlir::Value minimum(mlir::Value a, mlir::Value b);
  mlir::Value maximum(mlir::Value a, mlir::Value b);
  mlir::Value toInt32(mlir::Value index);
  mlir::Value loadScalar(mlir::Value memref, mlir::ValueRange indices);

  // Arithmetic on vectors of f32.
  mlir::Value constant(mlir::VectorType type, float value);
  mlir::Value constant(mlir::VectorType type, int32_t value);
  mlir::Value addf(mlir::Value a, mlir::Value b);
  mlir::Value subf(mlir::Value a, mlir::Value b);
  mlir::Value mulf(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value sum);
  /// Returns the larger one; b if one of them is NaN.
  mlir::Value maxf(mlir::Value a, mlir::Value b);
  /// Returns the smaller one; b if one of them is NaN.
  mlir::Value minf(mlir::Value a, mlir::Value b);

  // Conditions: a <= b and a < b for integers and vectors of them, and both
  // conditions.
  mlir::Value atMost(mlir::Value a, mlir::Value b);
  mlir::Value lessThan(mlir::Value a, mlir::Value b);
  mlir::Value both(mlir::Value a, mlir::Value b);
  mlir::Value select(mlir::Value mask, mlir::Value a, mlir::Value b);

  /// Builds for (i = begin; i < end; i += step), carrying `init`.
  Values loop(IndexRange range, int64_t step, mlir::ValueRange init,
              llvm::function_ref<Values(mlir::Value i, mlir::ValueRange)> body);
  void loop(IndexRange range, int64_t step,
            llvm::function_ref<void(mlir::Value i)> body);
  /// Builds `condition ? whenTrue() : whenFalse()`, values of these types.
  Values ifElse(mlir::Value condition, mlir::TypeRange types,
                llvm::function_ref<Values()> whenTrue,
                llvm::function_ref<Values()> whenFalse);

  mlir::ImplicitLocOpBuilder &builder;
};

/// Adds a function to the module that the builder is at the end of; memory
/// arguments do not overlap. `build` fills its body.
void addKernel(Emitter &emit, llvm::StringRef symbol, mlir::TypeRange arguments,
               llvm::function_ref<void(mlir::Block *)> build);

} // namespace flashcp::codegen

#endif // FLASHCP_CODEGEN_COMMON_EMITTER_H_
