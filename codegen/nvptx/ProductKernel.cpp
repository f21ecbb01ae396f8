// Sums the products of O and dO over each head of a row, delta: a warp takes a
// row and a head. The order of a sum is the same for every alignment.

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Octet.h"
#include "codegen/nvptx/kernel_abi.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr int threads = 256, lanes = 32, elementBytes = 2;

// Returns the sum of this lane's products of one head, whose first elements lie
// at these addresses: eight elements at a time, lane after lane.
static Value sumOfLane(DeviceEmitter &emit, Element element, Value lane,
                       Value valueDim, Value output, Value gradient,
                       bool wide) {
  IndexRange columns = {emit.mul(lane, kOctet), valueDim};
  auto addOctet = [&](Value column, ValueRange sum) {
    Value offset = emit.mul(emit.widenUnsigned(column), elementBytes);
    auto load = [&](Value first) {
      return loadElements(emit, element, emit.add(first, offset), wide);
    };
    Values a = load(output), b = load(gradient);
    Value added = sum[0];
    for (int i = 0; i < kOctet; ++i)
      added = emit.fma(a[i], b[i], added);
    return Values{added};
  };
  return emit.loop(columns, lanes * kOctet, {emit.f32(0)}, addOctet)[0];
}

// Builds the sums of one row and head, by one warp.
static void sumHead(DeviceEmitter &emit, Arguments &arguments, Element element,
                    Value item, Value row, Value head) {
  Value lane = emit.bitAnd(emit.threadId(), lanes - 1);
  Value valueDim = arguments.valueDim();
  auto rowOf = [&](size_t offset) {
    Value buffer = emit.loadGlobal(emit.i32(), item, offset);
    return arguments.rowAddress(buffer, row);
  };
  auto headOf = [&](size_t offset) {
    Value elements = emit.mul(head, valueDim);
    return emit.add(rowOf(offset),
                    emit.mul(emit.widenUnsigned(elements), elementBytes));
  };
  Value output = headOf(offsetof(gpu::ProductItem, output));
  Value gradient = headOf(offsetof(gpu::ProductItem, output_gradient));
  auto sum = [&](bool wide) {
    return Values{
        sumOfLane(emit, element, lane, valueDim, output, gradient, wide)};
  };
  Value total = emit.ifElse(
      allWide(emit, {output, gradient}), {emit.f32()},
      [&] { return sum(true); }, [&] { return sum(false); })[0];
  for (int mask = lanes / 2; mask > 0; mask /= 2)
    total = emit.addf(total, emit.shuffleXor(total, mask));
  emit.ifThen(emit.isEqual(lane, 0), [&] {
    Value target = rowOf(offsetof(gpu::ProductItem, sums));
    emit.storeGlobal(
        total, emit.add(target, emit.shiftLeft(emit.widenUnsigned(head), 2)));
  });
}

void buildProduct(ModuleOp module, Element element) {
  LaunchBounds bounds = {threads, kMemorySharedBytes};
  std::string symbol = "flashcp_product_" + elementName(element).str();
  addDeviceKernel(
      module, symbol, bounds, [&](DeviceEmitter &emit, Value pointer) {
        Arguments arguments(emit, pointer);
        forEachItem(
            emit, arguments, sizeof(gpu::ProductItem), emit.sharedBase(),
            [&](Value item) {
              auto field = [&](size_t offset) {
                return emit.loadGlobal(emit.i32(), item, offset);
              };
              Value begin = field(offsetof(gpu::ProductItem, row_begin));
              Value end = field(offsetof(gpu::ProductItem, row_end));
              Value heads = arguments.heads();
              Value warp = emit.div(emit.threadId(), lanes);
              IndexRange sums = {warp, emit.mul(emit.sub(end, begin), heads)};
              emit.loop(sums, threads / lanes, [&](Value i) {
                sumHead(emit, arguments, element, item,
                        emit.add(begin, emit.divide(i, heads)),
                        emit.remainder(i, heads));
              });
            });
      });
}

} // namespace flashcp::codegen::nvptx
