// Sets slices of buffers to zero, four floats a store and single ones at the
// ends.

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/kernel_abi.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr int threads = 256;

// Stores zeros of `type` from the thread's place on, block by block.
static void storeZeros(DeviceEmitter &emit, Value begin, Value count, Type type,
                       int64_t bytes) {
  Value zero = LLVM::ZeroOp::create(emit.builder, type);
  emit.loop({emit.widenUnsigned(emit.threadId()), count}, threads,
            [&](Value i) {
              emit.storeGlobal(zero, emit.add(begin, emit.mul(i, bytes)));
            });
}

void buildClear(ModuleOp module) {
  LaunchBounds bounds = {threads, kMemorySharedBytes};
  addDeviceKernel(
      module, "flashcp_clear", bounds, [](DeviceEmitter &emit, Value pointer) {
        Arguments arguments(emit, pointer);
        forEachItem(
            emit, arguments, sizeof(gpu::ClearItem), emit.sharedBase(),
            [&](Value item) {
              auto field = [&](Type type, size_t offset) {
                return emit.loadGlobal(type, item, offset);
              };
              Value buffer =
                  field(emit.i32(), offsetof(gpu::ClearItem, begin.buffer));
              Value offset =
                  field(emit.i64(), offsetof(gpu::ClearItem, begin.offset));
              Value count = field(emit.i64(), offsetof(gpu::ClearItem, count));
              Value begin = emit.add(arguments.baseOf(buffer), offset);
              // Floats before the first address that four of them may have.
              Value misaligned = emit.bitAnd(
                  emit.shiftRight(emit.sub(emit.i64(0), begin), 2), 3);
              Value head = emit.minimum(misaligned, count);
              Value quads = emit.shiftRight(emit.sub(count, head), 2);
              Value body = emit.add(begin, emit.shiftLeft(head, 2));
              Value done = emit.shiftLeft(quads, 2);
              Value tail = emit.sub(emit.sub(count, head), done);
              storeZeros(emit, begin, head, emit.f32(), 4);
              storeZeros(emit, body, quads, emit.vectorOf(emit.f32(), 4), 16);
              storeZeros(emit, emit.add(body, emit.shiftLeft(done, 2)), tail,
                         emit.f32(), 4);
            });
      });
}

} // namespace flashcp::codegen::nvptx
