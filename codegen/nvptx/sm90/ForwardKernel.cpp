// Shapes and shared memory of the forward kernel, and its warps' parts.
//
// Keys of a block are as many as registers allow: O, scores and weights of 64
// rows lie in those of a warpgroup. Shared memory holds a block of queries and
// two stages of K and V.

#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/sm90/ForwardParts.h"
#include "codegen/nvptx/sm90/Sm90Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

// setmaxnreg shares 168 registers of each of 384 threads, or 128 of each of
// 512: multiples of 8.
static constexpr ForwardConfig configs[] = {
    {{64, 64}, /*keys=*/128, /*groups=*/2, /*stages=*/2, 40, 232},
    {{128, 128}, /*keys=*/128, /*groups=*/2, /*stages=*/2, 40, 232},
    {{192, 128}, /*keys=*/112, /*groups=*/2, /*stages=*/2, 40, 232},
    {{192, 192}, /*keys=*/112, /*groups=*/2, /*stages=*/2, 40, 232},
    {{256, 256}, /*keys=*/80, /*groups=*/2, /*stages=*/2, 40, 232},
};

const ForwardConfig &forwardConfig(HeadDims dims) {
  return *llvm::find_if(configs, [&](const ForwardConfig &config) {
    return config.dims.dim == dims.dim && config.dims.valueDim == dims.valueDim;
  });
}

namespace {

/// Offsets of ForwardMemory, in its order.
struct ForwardOffsets {
  explicit ForwardOffsets(const ForwardConfig &config)
      : query(allocator.take(config.queryBytes())),
        key(allocator.take(config.stages * config.keyBytes())),
        value(allocator.take(config.stages * config.valueBytes())),
        keyRecords(allocator.take(config.stages * sizeof(KeyBlockRecord))),
        tailRecords(allocator.take(config.stages * sizeof(TailRecord))),
        itemRecords(allocator.take(itemStages * sizeof(ForwardItemRecord))),
        queryBarriers(allocator.takeBarriers(2)),
        keyBarriers(allocator.takeBarriers(2 * config.stages)),
        valueBarriers(allocator.takeBarriers(2 * config.stages)),
        tailBarriers(allocator.takeBarriers(config.stages)),
        itemBarriers(allocator.takeBarriers(2 * itemStages)) {}

  SharedAllocator allocator;
  int query, key, value, keyRecords, tailRecords, itemRecords;
  int queryBarriers, keyBarriers, valueBarriers, tailBarriers, itemBarriers;
};

} // namespace

int forwardSharedBytes(const ForwardConfig &config) {
  int bytes = ForwardOffsets(config).allocator.bytes();
  assert(bytes <= mostSharedBytes && "the shape needs more than an SM has");
  return bytes;
}

static ForwardMemory placeMemory(DeviceEmitter &emit,
                                 const ForwardConfig &config) {
  ForwardOffsets offsets(config);
  Value base = emit.sharedBase();
  auto at = [&](int offset) { return emit.add(base, offset); };
  auto ring = [&](int offset, int stages) {
    return Ring{at(offset), at(offset + stages * barrierBytes), stages};
  };
  return {at(offsets.query),
          at(offsets.key),
          at(offsets.value),
          at(offsets.keyRecords),
          at(offsets.tailRecords),
          at(offsets.itemRecords),
          ring(offsets.queryBarriers, 1),
          ring(offsets.keyBarriers, config.stages),
          ring(offsets.valueBarriers, config.stages),
          Ring{at(offsets.tailBarriers), Value(), config.stages},
          ring(offsets.itemBarriers, itemStages)};
}

// One arrival fills a stage, one of each warp that computes empties it.
static void initBarriers(ForwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  const ForwardMemory &memory = kernel.memory;
  int warps = kernel.config.groups * groupThreads / warpThreads;
  for (const Ring &ring :
       {memory.query, memory.key, memory.value, memory.tail, memory.item})
    initRing(emit, ring, /*fillers=*/1, warps);
  fenceBarriers(emit);
}

Value ForwardKernel::keyTile(Value n) const {
  return memory.key.at(emit, memory.keyTiles, n, config.keyBytes());
}

Value ForwardKernel::valueTile(Value n) const {
  return memory.value.at(emit, memory.valueTiles, n, config.valueBytes());
}

Value ForwardKernel::keyRecord(Value n) const {
  return memory.key.at(emit, memory.keyRecords, n, sizeof(KeyBlockRecord));
}

Value ForwardKernel::tailRecord(Value n) const {
  return memory.tail.at(emit, memory.tailRecords, n, sizeof(TailRecord));
}

Value ForwardKernel::itemRecord(Value n) const {
  return memory.item.at(emit, memory.itemRecords, n, sizeof(ForwardItemRecord));
}

static void buildBody(ForwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  emit.ifThen(emit.isEqual(emit.threadId(), 0), [&] { initBarriers(kernel); });
  emit.synchronise();
  Value warpgroup = warpgroupId(emit);
  emit.ifThenElse(
      emit.isEqual(warpgroup, 0),
      [&] {
        releaseRegisters(emit, kernel.config.loaderRegisters);
        Value warp = warpInGroup(emit);
        emit.ifThenElse(
            emit.isEqual(warp, 1), [&] { buildTailZeroing(kernel); },
            [&] {
              emit.ifThen(emit.isEqual(emit.threadId(), 0),
                          [&] { buildForwardLoader(kernel); });
            });
      },
      [&] {
        claimRegisters(emit, kernel.config.consumerRegisters);
        buildForwardConsumer(kernel, emit.sub(warpgroup, 1));
      });
}

void buildForward(ModuleOp module, const AttentionShape &shape) {
  const ForwardConfig &config = forwardConfig(shape.dims);
  KernelInfo info = sm90::forwardInfo(shape);
  addDeviceKernel(module, info.symbol, {info.threads, info.sharedBytes},
                  [&](DeviceEmitter &emit, Value pointer) {
                    Arguments arguments(emit, pointer);
                    ForwardKernel kernel = {emit, arguments, config,
                                            shape.element,
                                            placeMemory(emit, config)};
                    buildBody(kernel);
                  });
}

std::vector<HeadDims> forwardDims() {
  std::vector<HeadDims> dims;
  for (const ForwardConfig &config : configs)
    dims.push_back(config.dims);
  return dims;
}

KernelInfo forwardInfo(const AttentionShape &shape) {
  const ForwardConfig &config = forwardConfig(shape.dims);
  return {"flashcp_forward_" + shape.name(),
          config.threads(),
          forwardSharedBytes(config),
          config.rows(),
          config.keys,
          config.consumerRegisters};
}

} // namespace flashcp::codegen::nvptx::sm90
