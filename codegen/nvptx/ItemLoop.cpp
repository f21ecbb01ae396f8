// Items are taken by one thread and passed on through shared memory.

#include "codegen/nvptx/ItemLoop.h"

#include "codegen/nvptx/kernel_abi.h"
#include "llvm/ADT/STLExtras.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx {

Value Arguments::load(Type type, size_t offset) {
  ImplicitLocOpBuilder &builder = emit.builder;
  Value field =
      LLVM::GEPOp::create(builder, pointer.getType(), builder.getI8Type(),
                          pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  return LLVM::LoadOp::create(builder, type, field);
}

#define FLASHCP_ARGUMENT(name, type, field)                                    \
  Value Arguments::name() {                                                    \
    return load(emit.type(), offsetof(gpu::LaunchArguments, field));           \
  }
FLASHCP_ARGUMENT(bindings, i64, bindings)
FLASHCP_ARGUMENT(maps, i64, maps)
FLASHCP_ARGUMENT(tiles, i64, tiles)
FLASHCP_ARGUMENT(items, i64, items)
FLASHCP_ARGUMENT(turns, i64, turns)
FLASHCP_ARGUMENT(counters, i64, counters)
FLASHCP_ARGUMENT(nextItem, i64, next_item)
FLASHCP_ARGUMENT(itemCount, i32, item_count)
FLASHCP_ARGUMENT(group, i32, group)
FLASHCP_ARGUMENT(heads, i32, heads)
FLASHCP_ARGUMENT(valueDim, i32, value_dim)
FLASHCP_ARGUMENT(scale, f32, scale)
FLASHCP_ARGUMENT(scaleLog2, f32, scale_log2)
#undef FLASHCP_ARGUMENT

Value Arguments::baseOf(Value buffer) {
  Value offset = emit.mul(emit.widenUnsigned(buffer), sizeof(gpu::Binding));
  return emit.loadGlobal(emit.i64(), emit.add(bindings(), offset),
                         offsetof(gpu::Binding, base));
}

Value Arguments::rowBytesOf(Value buffer) {
  Value offset = emit.mul(emit.widenUnsigned(buffer), sizeof(gpu::Binding));
  return emit.loadGlobal(emit.i64(), emit.add(bindings(), offset),
                         offsetof(gpu::Binding, row_bytes));
}

Value Arguments::rowAddress(Value buffer, Value row) {
  Value offset = emit.mul(emit.widenUnsigned(row), rowBytesOf(buffer));
  return emit.add(baseOf(buffer), offset);
}

Value takeItem(DeviceEmitter &emit, Arguments &arguments) {
  return emit.atomicAdd(arguments.nextItem(), emit.i32(1));
}

void endItems(DeviceEmitter &emit, Arguments &arguments) {
  Value done = emit.add(arguments.nextItem(), 4);
  // Orders the takes of all blocks before the stores of the last one.
  Value before = emit.ptx("atom.acq_rel.gpu.global.add.u32 $0, [$1], 1;",
                          "=r,l", done, emit.i32())[0];
  Value last = emit.isEqual(emit.add(before, 1), emit.blockCount());
  emit.ifThen(last, [&] {
    emit.storeGlobal(emit.i32(0), arguments.nextItem());
    emit.storeGlobal(emit.i32(0), done);
  });
}

void forEachItem(DeviceEmitter &emit, Arguments &arguments, int64_t itemBytes,
                 Value slot, function_ref<void(Value)> body) {
  Value first = emit.isEqual(emit.threadId(), 0);
  // The first barrier ends the last item's reads of the slot, the second shows
  // what was written.
  auto next = [&] {
    emit.synchronise();
    emit.ifThen(first,
                [&] { emit.storeShared(takeItem(emit, arguments), slot); });
    emit.synchronise();
    return emit.loadShared(emit.i32(), slot);
  };
  emit.whileLoop(
      next(),
      [&](ValueRange item) {
        return emit.lessThan(item[0], arguments.itemCount());
      },
      [&](ValueRange item) {
        Value offset = emit.mul(emit.widenUnsigned(item[0]), itemBytes);
        body(emit.add(arguments.items(), offset));
        return Values{next()};
      });
  emit.ifThen(first, [&] { endItems(emit, arguments); });
}

} // namespace flashcp::codegen::nvptx
