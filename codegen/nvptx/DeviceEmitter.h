// The builder that GPU kernels are written with: scalars of 32 and 64 bits,
// memory by address, the thread's place, and PTX that MLIR has no op for.
//
// Kernels are llvm.func with NVVM, arith and scf ops on scalars: addresses are
// integers, so that what a table holds can be added to.

#ifndef FLASHCP_CODEGEN_NVPTX_DEVICEEMITTER_H_
#define FLASHCP_CODEGEN_NVPTX_DEVICEEMITTER_H_

#include "codegen/common/Emitter.h"
#include "codegen/nvptx/KernelShape.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace flashcp::codegen::nvptx {

/// Limits of one kernel's launches.
struct LaunchBounds {
  int threads;
  int sharedBytes;   // of dynamic shared memory
  int minBlocks = 1; // of the kernel on an SM at once: bounds its registers
};

class DeviceEmitter : public Emitter {
public:
  using Emitter::Emitter;

  // Types and constants.
  mlir::Type i1() { return builder.getI1Type(); }
  mlir::Type i16() { return builder.getI16Type(); }
  mlir::Type i32() { return builder.getI32Type(); }
  mlir::Type i64() { return builder.getI64Type(); }
  mlir::Type f32() { return builder.getF32Type(); }
  mlir::VectorType vectorOf(mlir::Type element, int count);
  mlir::Value i32(int64_t value);
  mlir::Value i64(int64_t value);
  mlir::Value f32(float value);

  // Integers; a constant has the type of the other operand.
  mlir::Value sub(mlir::Value a, mlir::Value b) { return Emitter::sub(a, b); }
  mlir::Value sub(mlir::Value a, int64_t b) { return add(a, -b); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return Emitter::mul(a, b); }
  mlir::Value mul(mlir::Value a, int64_t b);
  mlir::Value divide(mlir::Value a, mlir::Value b);    // unsigned
  mlir::Value remainder(mlir::Value a, mlir::Value b); // unsigned
  mlir::Value bitAnd(mlir::Value a, int64_t b);
  mlir::Value bitOr(mlir::Value a, mlir::Value b);
  mlir::Value bitXor(mlir::Value a, mlir::Value b);
  mlir::Value shiftLeft(mlir::Value a, int64_t bits);
  mlir::Value shiftRight(mlir::Value a, int64_t bits); // unsigned
  mlir::Value isEqual(mlir::Value a, mlir::Value b);
  mlir::Value isEqual(mlir::Value a, int64_t b);
  mlir::Value notEqual(mlir::Value a, int64_t b);
  mlir::Value lessThan(mlir::Value a, mlir::Value b) {
    return Emitter::lessThan(a, b);
  }
  mlir::Value lessThan(mlir::Value a, int64_t b);
  mlir::Value either(mlir::Value a, mlir::Value b);
  mlir::Value widen(mlir::Value a);         // to i64, signed
  mlir::Value widenUnsigned(mlir::Value a); // to i64
  mlir::Value narrow(mlir::Value a);        // to i32
  mlir::Value toFloat(mlir::Value a);    // bf16 or f16 bits are bitcast first
  mlir::Value widenToI32(mlir::Value a); // unsigned

  // Floats.
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value sum);
  mlir::Value negate(mlir::Value a);
  /// Returns the larger one; of a number and NaN the number.
  mlir::Value maxNumber(mlir::Value a, mlir::Value b);
  /// Returns the smaller one; NaN if one of them is.
  mlir::Value minimumOrNan(mlir::Value a, mlir::Value b);
  /// Returns whether a is another number than b, or NaN.
  mlir::Value differs(mlir::Value a, float b);
  /// Returns whether |a| > b; not if a is NaN.
  mlir::Value isLarger(mlir::Value a, float b);
  /// Return approximations of 2^a, log2(a) and 1 / a; subnormals are 0.
  mlir::Value exp2(mlir::Value a);
  mlir::Value log2(mlir::Value a);
  mlir::Value reciprocal(mlir::Value a);
  /// Rounds two floats to the element type; returns them in an i32, `low` in
  /// the low half.
  mlir::Value packPair(Element element, mlir::Value low, mlir::Value high);
  /// Returns both elements of an i32 as floats.
  std::pair<mlir::Value, mlir::Value> unpackPair(Element element,
                                                 mlir::Value pair);
  mlir::Value bitcast(mlir::Value a, mlir::Type type);
  /// Returns an element of a vector, or a vector of these elements.
  mlir::Value extract(mlir::Value vector, int i);
  mlir::Value join(mlir::ValueRange elements);

  // Global memory by i64 address, shared memory by i32 address. Vectors are
  // aligned to their size.
  mlir::Value loadGlobal(mlir::Type type, mlir::Value address,
                         int64_t offset = 0);
  void storeGlobal(mlir::Value value, mlir::Value address, int64_t offset = 0);
  mlir::Value loadShared(mlir::Type type, mlir::Value address,
                         int64_t offset = 0);
  void storeShared(mlir::Value value, mlir::Value address, int64_t offset = 0);
  mlir::Value globalPointer(mlir::Value address);
  mlir::Value sharedPointer(mlir::Value address);
  /// Adds to a counter in global memory; returns what it was. Relaxed.
  mlir::Value atomicAdd(mlir::Value address, mlir::Value value);
  /// Returns the address of dynamic shared memory.
  mlir::Value sharedBase();

  // The thread's place.
  mlir::Value threadId();
  mlir::Value blockId();
  mlir::Value blockCount();

  // Warps and blocks.
  /// Returns the value of the lane whose number differs in `mask`.
  mlir::Value shuffleXor(mlir::Value value, int mask);
  /// Returns the value of lane `lane`: the same for all, as ptxas then knows.
  mlir::Value shuffleIndex(mlir::Value value, int lane);
  mlir::Value shuffleIndex(mlir::Value value, mlir::Value lane);
  /// Returns whether the condition holds for a lane of the warp.
  mlir::Value anyLane(mlir::Value condition);
  /// Waits for all threads of the block.
  void synchronise();
  /// Waits for all lanes of the warp.
  void synchroniseWarp();

  // Control flow.
  void ifThen(mlir::Value condition, llvm::function_ref<void()> body);
  void ifThenElse(mlir::Value condition, llvm::function_ref<void()> whenTrue,
                  llvm::function_ref<void()> whenFalse);
  /// Builds `while (condition(state)) state = body(state)`.
  Values whileLoop(mlir::ValueRange init,
                   llvm::function_ref<mlir::Value(mlir::ValueRange)> condition,
                   llvm::function_ref<Values(mlir::ValueRange)> body);

  /// Returns an i32 or i64 as a value that LLVM knows nothing of: what is
  /// computed from it stays behind this place, and takes no registers before.
  mlir::Value pin(mlir::Value value);

  /// Adds one PTX statement. `$i` names results, then operands. It stays where
  /// it is, and is executed once, by all threads that get there.
  Values ptx(const llvm::Twine &text, llvm::StringRef constraints,
             mlir::ValueRange operands, mlir::TypeRange results);
};

/// Adds a kernel, whose one parameter is a LaunchArguments (kernel_abi.h), to
/// the module. `build` fills its body; it gets the parameter's pointer.
void addDeviceKernel(
    mlir::ModuleOp module, llvm::StringRef symbol, LaunchBounds bounds,
    llvm::function_ref<void(DeviceEmitter &, mlir::Value)> build);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_DEVICEEMITTER_H_
