// Shapes and shared memory of the backward kernel, and its warps' parts.

#include "codegen/nvptx/sm90/BackwardParts.h"
#include "codegen/nvptx/sm90/Sm90Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

static constexpr BackwardConfig configs[] = {
    {{64, 64}, 72, 216},
    {{128, 128}, 56, 224},
};

// Warps of warpgroup 0; warp 0 loads.
static constexpr int preparingWarps = BackwardConfig::rows / warpThreads;
static constexpr int turnWarp = 1 + preparingWarps;

const BackwardConfig &backwardConfig(HeadDims dims) {
  return *llvm::find_if(configs, [&](const BackwardConfig &config) {
    return config.dims.dim == dims.dim && config.dims.valueDim == dims.valueDim;
  });
}

namespace {

/// Offsets of BackwardMemory, in its order.
struct BackwardOffsets {
  explicit BackwardOffsets(const BackwardConfig &config)
      : key(allocator.take(config.keyBytes())),
        value(allocator.take(config.valueBytes())),
        query(allocator.take(config.stages * config.queryBytes())),
        output(allocator.take(config.stages * config.outputBytes())),
        weights(allocator.take(config.stages * config.weightBytes)),
        statistics(allocator.take(config.stages * config.statisticsBytes)),
        rowRecords(allocator.take(config.stages * sizeof(RowBlockRecord))),
        itemRecords(
            allocator.take(backwardItemStages * sizeof(BackwardItemRecord))),
        keyBarriers(allocator.takeBarriers(2)),
        keyLoadedBarriers(allocator.takeBarriers(1)),
        rowBarriers(allocator.takeBarriers(2 * config.stages)),
        announcedBarriers(allocator.takeBarriers(config.stages)),
        rowLoadedBarriers(allocator.takeBarriers(config.stages)),
        itemBarriers(allocator.takeBarriers(2 * backwardItemStages)),
        turnBarriers(allocator.takeBarriers(2)) {}

  SharedAllocator allocator;
  int key, value, query, output, weights, statistics, rowRecords, itemRecords;
  int keyBarriers, keyLoadedBarriers, rowBarriers, announcedBarriers,
      rowLoadedBarriers, itemBarriers, turnBarriers;
};

} // namespace

int backwardSharedBytes(const BackwardConfig &config) {
  int bytes = BackwardOffsets(config).allocator.bytes();
  assert(bytes <= mostSharedBytes && "the shape needs more than an SM has");
  return bytes;
}

static BackwardMemory placeMemory(DeviceEmitter &emit,
                                  const BackwardConfig &config) {
  BackwardOffsets offsets(config);
  Value base = emit.sharedBase();
  auto at = [&](int offset) { return emit.add(base, offset); };
  auto ring = [&](int offset, int stages) {
    return Ring{at(offset), at(offset + stages * barrierBytes), stages};
  };
  auto signal = [&](int offset, int stages) {
    return Ring{at(offset), Value(), stages};
  };
  return {at(offsets.key),
          at(offsets.value),
          at(offsets.query),
          at(offsets.output),
          at(offsets.weights),
          at(offsets.statistics),
          at(offsets.rowRecords),
          at(offsets.itemRecords),
          ring(offsets.keyBarriers, 1),
          signal(offsets.keyLoadedBarriers, 1),
          ring(offsets.rowBarriers, config.stages),
          signal(offsets.announcedBarriers, config.stages),
          signal(offsets.rowLoadedBarriers, config.stages),
          ring(offsets.itemBarriers, backwardItemStages),
          ring(offsets.turnBarriers, 1)};
}

static void initBarriers(BackwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  const BackwardMemory &memory = kernel.memory;
  int computing = kernel.config.groups * groupThreads / warpThreads;
  for (const Ring &ring : {memory.keysLoaded, memory.announced,
                           memory.rowsLoaded, memory.item, memory.turn})
    initRing(emit, ring, /*fillers=*/1, computing);
  for (const Ring &ring : {memory.keys, memory.rows})
    initRing(emit, ring, preparingWarps, computing);
  fenceBarriers(emit);
}

Value BackwardKernel::queryTile(Value n) const {
  return memory.rows.at(emit, memory.queryTiles, n, config.queryBytes());
}

Value BackwardKernel::outputTile(Value n) const {
  return memory.rows.at(emit, memory.outputTiles, n, config.outputBytes());
}

Value BackwardKernel::weightTile(Value n) const {
  return memory.rows.at(emit, memory.weightTiles, n, config.weightBytes);
}

Value BackwardKernel::statistics(Value n) const {
  return memory.rows.at(emit, memory.statistics, n, config.statisticsBytes);
}

Value BackwardKernel::rowRecord(Value n) const {
  return memory.rows.at(emit, memory.rowRecords, n, sizeof(RowBlockRecord));
}

Value BackwardKernel::itemRecord(Value n) const {
  return memory.item.at(emit, memory.itemRecords, n,
                        sizeof(BackwardItemRecord));
}

static void buildServants(BackwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  Value warp = warpInGroup(emit), first = emit.isEqual(laneId(emit), 0);
  Value prepares = emit.both(emit.lessThan(emit.i32(0), warp),
                             emit.lessThan(warp, turnWarp));
  emit.ifThenElse(
      prepares,
      [&] {
        buildRowPreparation(kernel, emit.sub(emit.threadId(), warpThreads));
      },
      [&] {
        emit.ifThen(first, [&] {
          emit.ifThenElse(
              emit.isEqual(warp, 0), [&] { buildBackwardLoader(kernel); },
              [&] { buildTurnKeeping(kernel); });
        });
      });
}

static void buildBody(BackwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  emit.ifThen(emit.isEqual(emit.threadId(), 0), [&] { initBarriers(kernel); });
  emit.synchronise();
  Value warpgroup = warpgroupId(emit);
  emit.ifThenElse(
      emit.isEqual(warpgroup, 0),
      [&] {
        releaseRegisters(emit, kernel.config.loaderRegisters);
        buildServants(kernel);
      },
      [&] {
        claimRegisters(emit, kernel.config.consumerRegisters);
        buildBackwardConsumer(kernel, emit.sub(warpgroup, 1));
      });
}

void buildBackward(ModuleOp module, const AttentionShape &shape) {
  const BackwardConfig &config = backwardConfig(shape.dims);
  KernelInfo info = sm90::backwardInfo(shape);
  addDeviceKernel(module, info.symbol, {info.threads, info.sharedBytes},
                  [&](DeviceEmitter &emit, Value pointer) {
                    Arguments arguments(emit, pointer);
                    BackwardKernel kernel = {emit, arguments, config,
                                             shape.element,
                                             placeMemory(emit, config)};
                    buildBody(kernel);
                  });
}

std::vector<HeadDims> backwardDims() {
  std::vector<HeadDims> dims;
  for (const BackwardConfig &config : configs)
    dims.push_back(config.dims);
  return dims;
}

KernelInfo backwardInfo(const AttentionShape &shape) {
  const BackwardConfig &config = backwardConfig(shape.dims);
  return {"flashcp_backward_" + shape.name(),
          config.threads,
          backwardSharedBytes(config),
          config.rows,
          config.keys,
          config.consumerRegisters};
}

} // namespace flashcp::codegen::nvptx::sm90
