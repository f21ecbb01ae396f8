// Copies rows of bytes, rounds rows of floats to elements, or adds elements to
// floats: 16 bytes an access if addresses, strides and counts allow, by element
// otherwise.

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Octet.h"
#include "codegen/nvptx/kernel_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr int threads = 256;

namespace {

// What a kernel does with the elements of a row.
struct MoveUnit {
  int sourceBytes, targetBytes; // of an element
  int width;                    // elements that a thread moves at a time
  // Moves `width` of them, or one.
  llvm::function_ref<void(DeviceEmitter &, Value source, Value target)> wide,
      single;
};

// The rows of one move that an item asks for.
struct MoveRows {
  Value source, target; // the first row
  Value sourceStride, targetStride;
  Value rows, count; // i32
};

} // namespace

// Loads a move, and cuts it to the rows of the item.
static MoveRows loadMove(DeviceEmitter &emit, Arguments &arguments, Value move,
                         Value rowBegin, Value rowEnd) {
  auto field = [&](Type type, size_t offset) {
    return emit.loadGlobal(type, move, offset);
  };
  auto rowOf = [&](size_t side, Value stride) {
    Value buffer = field(emit.i32(), side + offsetof(gpu::BufferByte, buffer));
    Value offset = field(emit.i64(), side + offsetof(gpu::BufferByte, offset));
    Value skipped = emit.mul(emit.widenUnsigned(rowBegin), stride);
    return emit.add(emit.add(arguments.baseOf(buffer), offset), skipped);
  };
  MoveRows rows;
  rows.sourceStride = field(emit.i64(), offsetof(gpu::Move, source_stride));
  rows.targetStride = field(emit.i64(), offsetof(gpu::Move, target_stride));
  rows.source = rowOf(offsetof(gpu::Move, source), rows.sourceStride);
  rows.target = rowOf(offsetof(gpu::Move, target), rows.targetStride);
  Value last = field(emit.i32(), offsetof(gpu::Move, rows));
  last = arith::MinUIOp::create(emit.builder, rowEnd, last);
  rows.rows = emit.sub(last, rowBegin);
  rows.count = field(emit.i32(), offsetof(gpu::Move, count));
  return rows;
}

// Builds loops of all threads over the rows, `width` elements at a time.
static void
moveRows(DeviceEmitter &emit, const MoveRows &move, const MoveUnit &unit,
         int width,
         llvm::function_ref<void(DeviceEmitter &, Value, Value)> moveOne) {
  Value units = emit.div(move.count, width);
  Value thread = emit.threadId();
  emit.loop({thread, emit.mul(move.rows, units)}, threads, [&](Value i) {
    Value row = emit.divide(i, units);
    Value place = emit.widenUnsigned(emit.mul(emit.remainder(i, units), width));
    auto address = [&](Value first, Value stride, int bytes) {
      Value offset = emit.mul(emit.widenUnsigned(row), stride);
      return emit.add(emit.add(first, offset), emit.mul(place, bytes));
    };
    moveOne(emit, address(move.source, move.sourceStride, unit.sourceBytes),
            address(move.target, move.targetStride, unit.targetBytes));
  });
}

// Builds one move, whichever accesses it allows.
static void moveOnce(DeviceEmitter &emit, const MoveRows &move,
                     const MoveUnit &unit) {
  Value aligned = allWide(
      emit, {move.source, move.target, move.sourceStride, move.targetStride});
  Value whole = emit.isEqual(emit.bitAnd(move.count, unit.width - 1), 0);
  emit.ifElse(
      emit.both(aligned, whole), {},
      [&] {
        moveRows(emit, move, unit, unit.width, unit.wide);
        return Values();
      },
      [&] {
        moveRows(emit, move, unit, 1, unit.single);
        return Values();
      });
}

// Moves of an item may add to what the one before has added to: barriers keep
// their order.
static void buildMoves(ModuleOp module, StringRef symbol,
                       const MoveUnit &unit) {
  LaunchBounds bounds = {threads, kMemorySharedBytes};
  addDeviceKernel(
      module, symbol, bounds, [&](DeviceEmitter &emit, Value pointer) {
        Arguments arguments(emit, pointer);
        forEachItem(
            emit, arguments, sizeof(gpu::MoveItem), emit.sharedBase(),
            [&](Value item) {
              auto field = [&](size_t offset) {
                return emit.loadGlobal(emit.i32(), item, offset);
              };
              Value rowBegin = field(offsetof(gpu::MoveItem, row_begin));
              Value rowEnd = field(offsetof(gpu::MoveItem, row_end));
              IndexRange moves = {field(offsetof(gpu::MoveItem, move_begin)),
                                  field(offsetof(gpu::MoveItem, move_end))};
              emit.loop(moves, 1, [&](Value i) {
                Value offset =
                    emit.mul(emit.widenUnsigned(i), sizeof(gpu::Move));
                Value move = emit.add(arguments.tiles(), offset);
                moveOnce(emit,
                         loadMove(emit, arguments, move, rowBegin, rowEnd),
                         unit);
                emit.synchronise();
              });
            });
      });
}

static std::string symbolOf(StringRef kind, Element element) {
  return ("flashcp_" + kind + "_" + elementName(element)).str();
}

void buildCopy(ModuleOp module) {
  auto copy = [](DeviceEmitter &emit, Type type, Value source, Value target) {
    emit.storeGlobal(emit.loadGlobal(type, source), target);
  };
  buildMoves(module, "flashcp_copy",
             {1, 1, 16,
              [&](DeviceEmitter &emit, Value source, Value target) {
                copy(emit, emit.vectorOf(emit.i32(), 4), source, target);
              },
              [&](DeviceEmitter &emit, Value source, Value target) {
                copy(emit, emit.builder.getI8Type(), source, target);
              }});
}

void buildRound(ModuleOp module, Element element) {
  buildMoves(module, symbolOf("round", element),
             {4, 2, kOctet,
              [&](DeviceEmitter &emit, Value source, Value target) {
                Values floats = loadFloats(emit, source, /*wide=*/true);
                storeElements(emit, element, floats, target, /*wide=*/true);
              },
              [&](DeviceEmitter &emit, Value source, Value target) {
                Value value = emit.loadGlobal(emit.f32(), source);
                storeElement(emit, element, value, target);
              }});
}

void buildAdd(ModuleOp module, Element element) {
  buildMoves(module, symbolOf("add", element),
             {2, 4, kOctet,
              [&](DeviceEmitter &emit, Value source, Value target) {
                Values added =
                    loadElements(emit, element, source, /*wide=*/true);
                Values sums = loadFloats(emit, target, /*wide=*/true);
                for (int i = 0; i < kOctet; ++i)
                  sums[i] = emit.addf(sums[i], added[i]);
                storeFloats(emit, sums, target, /*wide=*/true);
              },
              [&](DeviceEmitter &emit, Value source, Value target) {
                Value sum = emit.addf(emit.loadGlobal(emit.f32(), target),
                                      loadElement(emit, element, source));
                emit.storeGlobal(sum, target);
              }});
}

} // namespace flashcp::codegen::nvptx
