// The persistent loop of all kernels: blocks take items of a table from a
// counter in global memory, so that any number of them does the work, and
// leave the counters at zero for the next launch.

#ifndef FLASHCP_CODEGEN_NVPTX_ITEMLOOP_H_
#define FLASHCP_CODEGEN_NVPTX_ITEMLOOP_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx {

/// The fields of LaunchArguments (kernel_abi.h), loaded where they are asked
/// for; the compiler loads each once.
class Arguments {
public:
  Arguments(DeviceEmitter &emit, mlir::Value pointer)
      : emit(emit), pointer(pointer) {}

  mlir::Value bindings();
  mlir::Value maps();
  mlir::Value tiles();
  mlir::Value items();
  mlir::Value turns();
  mlir::Value counters();
  mlir::Value nextItem();
  mlir::Value itemCount();
  mlir::Value group();
  mlir::Value heads();
  mlir::Value valueDim();
  mlir::Value scale();
  mlir::Value scaleLog2();

  /// Loads the address of a row of a buffer, (buffer, row) as two i32.
  mlir::Value rowAddress(mlir::Value buffer, mlir::Value row);
  /// Loads Binding::base and row_bytes of a buffer.
  mlir::Value baseOf(mlir::Value buffer);
  mlir::Value rowBytesOf(mlir::Value buffer);

private:
  mlir::Value load(mlir::Type type, size_t offset);

  DeviceEmitter &emit;
  mlir::Value pointer;
};

/// Takes the next item; one thread calls it. Returns its number, which is
/// itemCount() or more if none is left.
mlir::Value takeItem(DeviceEmitter &emit, Arguments &arguments);

/// Says that this block takes no more items; one thread calls it, after its
/// last takeItem. The last block of all sets the counters to zero.
void endItems(DeviceEmitter &emit, Arguments &arguments);

/// Builds `body(address of item)` for each item that the block takes. All
/// threads run it together; `slot` is the address of 4 bytes of shared memory.
void forEachItem(DeviceEmitter &emit, Arguments &arguments, int64_t itemBytes,
                 mlir::Value slot,
                 llvm::function_ref<void(mlir::Value item)> body);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_ITEMLOOP_H_
