// Backward attention: an item is a block of keys, whose dK and dV stay in
// registers over all query rows of a chain of tiles.
//
// Scores are transposed, S^T = K Q^T and dP^T = V dO^T, so that P^T and dS^T
// are fragments of A in registers for dV += P^T dO and dK += dS^T Q. dS^T goes
// through shared memory for dQ = dS K, whose rows all warps share. dQ is added
// to memory in the order of turns (kernel_abi.h): the same bits for any number
// of CTAs.

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/PackedRows.h"
#include "codegen/nvptx/Softmax.h"
#include "codegen/nvptx/Tables.h"
#include "codegen/nvptx/kernel_abi.h"
#include "codegen/nvptx/sm80/Blocking.h"
#include "codegen/nvptx/sm80/Fragments.h"
#include "codegen/nvptx/sm80/Sm80Kernels.h"
#include "codegen/nvptx/sm80/TileCopy.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <cmath>
#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm80 {

namespace {

class BackwardKernel {
public:
  BackwardKernel(DeviceEmitter &emit, Value pointer,
                 const AttentionShape &shape)
      : emit(emit), arguments(emit, pointer), element(shape.element),
        dims(shape.dims), blocking(backwardBlocking(shape.dims)),
        warp(warpId(emit)), keyGroup(emit.div(warp, blocking.parts)),
        part(blocking.parts > 1 ? emit.bitAnd(warp, 1) : Value()),
        warpKey(emit.mul(keyGroup, fragmentRows)),
        gradientRow(emit.mul(emit.shiftRight(warp, 1), fragmentRows)),
        gradientPart(emit.bitAnd(warp, 1)) {}

  void build() {
    forEachItem(emit, arguments, sizeof(gpu::BackwardItem),
                shared(blocking.slot), [&](Value item) { runItem(item); });
  }

private:
  /// A block of query rows of a tile, against the keys of an item.
  struct Block {
    const BackwardTileFields &tile;
    PackedRows rows;
    Value number; // of the tile's blocks
    Value stage;  // 0 or 1
  };

  /// When an item may add to a block of dQ.
  struct Turn {
    Value counter; // its address
    Value number, count;
  };

  /// Four sums a lane for each 16 x 8.
  using Tiles = SmallVector<Values>;

  Value shared(int offset) { return emit.add(emit.sharedBase(), offset); }
  int columnsOfWarp(int dim) const { return dim / blocking.parts; }
  int rowsOfWarp() const { return blocking.rows / blocking.parts; }
  int keySums() const { return columnsOfWarp(dims.dim) / 2; }
  int valueSums() const { return columnsOfWarp(dims.valueDim) / 2; }
  // The column of a lane's first group of 16, of every so many.
  int groupStride() const { return 16 * blocking.parts; }

  void runItem(Value address);
  Values runTile(const ItemFields &item, const BackwardTileFields &tile,
                 ValueRange gradients);
  Block blockAt(const ItemFields &item, const BackwardTileFields &tile,
                Value number, Value stage);
  void copyKeys(const ItemFields &item, const BackwardTileFields &tile);
  void copyRows(const Block &block, const SharedTile &target,
                const TensorRows &rows, int dim, Value stage);
  void copyQueries(const Block &block);
  void copyStatistics(const Block &block);
  Values runBlock(const ItemFields &item, const Block &block, Value next,
                  Value more, ValueRange gradients);
  Tiles multiplyRows(const SharedTile &a, const SharedTile &b, int dim,
                     Value stage);
  void weigh(const ItemFields &item, const Block &block, Tiles &scores,
             Tiles &gradients);
  void mask(const ItemFields &item, const Block &block, Tiles &weights);
  void maskTile(const ItemFields &item, Value bands,
                MutableArrayRef<Value> four);
  void storeTransposed(const Tiles &sums, const SharedTile &target);
  void addProduct(const Tiles &weights, const SharedTile &stored,
                  const SharedTile &b, int dim, Value stage,
                  MutableArrayRef<Value> sums);
  Tiles multiplyScoreGradients();
  void addQueryGradient(const ItemFields &item, const Block &block,
                        const Tiles &sums, function_ref<void()> meanwhile);
  void addRows(const Block &block, const Tiles &sums);
  Turn turnOf(const ItemFields &item, const Block &block);
  void finish(const ItemFields &item, const BackwardTileFields &tile,
              ArrayRef<Value> sums, const TensorRows &target, int dim,
              Value scale);
  void addToMemory(Value address, Value sum, int64_t offset);

  DeviceEmitter &emit;
  Arguments arguments;
  Element element;
  HeadDims dims;
  BackwardBlocking blocking;
  Value warp;
  Value keyGroup, part, warpKey;   // of S^T, dP^T, dK and dV
  Value gradientRow, gradientPart; // of dQ
};

} // namespace

void BackwardKernel::runItem(Value address) {
  ItemFields item = readItem(emit, address);
  BackwardTileFields first = readBackwardTile(emit, arguments, item.tileBegin);
  copyKeys(item, first);
  commitCopies(emit);
  Values gradients(keySums() + valueSums(), emit.f32(0));
  gradients =
      emit.loop({item.tileBegin, item.tileEnd}, 1, gradients,
                [&](Value number, ValueRange carried) {
                  return runTile(
                      item, readBackwardTile(emit, arguments, number), carried);
                });
  // Tiles without rows that see a key wait for no copy.
  waitForCopies(emit, 0);
  ArrayRef<Value> sums(gradients);
  // Read anew, by the number that still lies in the slot, so that no field
  // takes registers meanwhile.
  Value number = emit.loadShared(emit.i32(), shared(blocking.slot));
  item = readItem(
      emit, emit.add(arguments.items(), emit.mul(emit.widenUnsigned(number),
                                                 sizeof(gpu::BackwardItem))));
  first = readBackwardTile(emit, arguments, item.tileBegin);
  finish(item, first, sums.take_front(keySums()), first.keyGradient, dims.dim,
         arguments.scale());
  finish(item, first, sums.drop_front(keySums()), first.valueGradient,
         dims.valueDim, emit.f32(1));
}

BackwardKernel::Block BackwardKernel::blockAt(const ItemFields &item,
                                              const BackwardTileFields &tile,
                                              Value number, Value stage) {
  Value tokens = tokensPerBlock(emit, blocking.rows, arguments.group());
  return {tile,
          PackedRows(emit, arguments.group(), blocking.rows,
                     emit.mul(number, tokens), tile.band.queryCount,
                     item.headBegin, item.headEnd),
          number, stage};
}

// The rows of one head.
static TensorRows ofHead(DeviceEmitter &emit, const TensorRows &tensor,
                         Value head, int bytes) {
  Value offset = emit.widenUnsigned(emit.mul(head, bytes));
  return {emit.add(tensor.address, offset), tensor.rowBytes};
}

void BackwardKernel::copyKeys(const ItemFields &item,
                              const BackwardTileFields &tile) {
  Value head = emit.divide(item.headBegin, arguments.group());
  auto copy = [&](const SharedTile &target, const TensorRows &tensor, int dim) {
    TensorRows rows = ofHead(emit, tensor, head, dim * elementBytes);
    TileCopy(emit, target, blocking.threads()).start([&](Value row) {
      Value key = emit.add(item.first, row);
      return SourceRow{rows.row(emit, key),
                       emit.lessThan(key, tile.band.keyCount)};
    });
  };
  copy(blocking.key, tile.key, dims.dim);
  copy(blocking.value, tile.value, dims.valueDim);
}

void BackwardKernel::copyRows(const Block &block, const SharedTile &target,
                              const TensorRows &rows, int dim, Value stage) {
  TileCopy(emit, target, blocking.threads())
      .start(
          [&](Value row) {
            RowPlace place = block.rows.at(row);
            TensorRows head =
                ofHead(emit, rows, place.head, dim * elementBytes);
            return SourceRow{head.row(emit, place.token), place.used};
          },
          stage);
}

void BackwardKernel::copyQueries(const Block &block) {
  copyRows(
      block, blocking.query, block.tile.query, dims.dim,
      emit.mul(block.stage, blocking.query.bytes() * (blocking.stages - 1)));
  copyStatistics(block);
}

// One thread a row: its LSE and delta, and the keys that it sees, of the
// tile's.
void BackwardKernel::copyStatistics(const Block &block) {
  Value thread = emit.threadId();
  emit.ifThen(emit.lessThan(thread, blocking.rows), [&] {
    RowPlace place = block.rows.at(thread);
    Value bytes = emit.select(place.used, emit.i32(4), emit.i32(0));
    Value index = emit.add(emit.mul(block.stage, blocking.rows), thread);
    auto copy = [&](const TensorRows &tensor, int offset) {
      TensorRows rows = ofHead(emit, tensor, place.head, 4);
      emit.ptx("cp.async.ca.shared.global [$0], [$1], 4, $2;", "r,l,r",
               {emit.add(shared(offset), emit.shiftLeft(index, 2)),
                rows.row(emit, place.token), bytes},
               {});
    };
    copy(block.tile.lse, blocking.lse);
    copy(block.tile.delta, blocking.delta);
    const TileBand &band = block.tile.band;
    Value low = emit.add(place.token, band.low);
    Value high = emit.minimum(emit.add(place.token, band.high), band.keyCount);
    Value none = emit.i32(0);
    emit.storeShared(
        emit.join({emit.select(place.used, low, none),
                   emit.select(place.used, high, none)}),
        emit.add(shared(blocking.bands), emit.shiftLeft(index, 3)));
  });
}

Values BackwardKernel::runTile(const ItemFields &item,
                               const BackwardTileFields &tile,
                               ValueRange gradients) {
  IndexRange keys = {
      item.first,
      emit.minimum(emit.add(item.first, blocking.keys()), tile.band.keyCount)};
  IndexRange tokens = tile.band.tokensSeeing(emit, keys);
  Value some = emit.lessThan(tokens.begin, tokens.end);
  Value size = tokensPerBlock(emit, blocking.rows, arguments.group());
  Value begin = emit.divide(tokens.begin, size);
  Value last = emit.divide(emit.sub(tokens.end, 1), size);
  Value end = emit.select(some, emit.add(last, 1), begin);
  // Nobody reads the last tile's rows any more.
  emit.synchronise();
  emit.ifThen(some, [&] {
    Block block = blockAt(item, tile, begin, emit.i32(0));
    copyQueries(block);
    copyRows(block, blocking.outputGradient, tile.outputGradient, dims.valueDim,
             {});
    commitCopies(emit);
  });
  return emit.loop({begin, end}, 1, gradients,
                   [&](Value number, ValueRange carried) {
                     Value stage = emit.bitAnd(emit.sub(number, begin), 1);
                     Value next = emit.add(number, 1);
                     return runBlock(item, blockAt(item, tile, number, stage),
                                     next, emit.lessThan(next, end), carried);
                   });
}

Values BackwardKernel::runBlock(const ItemFields &item, const Block &block,
                                Value next, Value more, ValueRange gradients) {
  Values sums(gradients);
  auto keyGradient = MutableArrayRef<Value>(sums).take_front(keySums());
  auto valueGradient = MutableArrayRef<Value>(sums).drop_front(keySums());
  Block following =
      blockAt(item, block.tile, next, emit.sub(emit.i32(1), block.stage));
  Value stage =
      emit.mul(block.stage, blocking.query.bytes() * (blocking.stages - 1));
  // The rows are there, and nobody reads those of the block before.
  waitForCopies(emit, 0);
  emit.synchronise();
  if (blocking.stages > 1)
    emit.ifThen(more, [&] { copyQueries(following); });
  Tiles weights = multiplyRows(blocking.key, blocking.query, dims.dim, stage);
  Tiles scoreGradients =
      multiplyRows(blocking.value, blocking.outputGradient, dims.valueDim, {});
  weigh(item, block, weights, scoreGradients);
  storeTransposed(scoreGradients, blocking.scoreGradient);
  if (blocking.parts > 1)
    storeTransposed(weights, blocking.weight);
  // dS^T is there, and P^T.
  emit.synchronise();
  addProduct(weights, blocking.weight, blocking.outputGradient, dims.valueDim,
             {}, valueGradient);
  Tiles queryGradient = multiplyScoreGradients();
  addQueryGradient(item, block, queryGradient, [&] {
    // Nobody reads dO any more.
    emit.ifThen(more, [&] {
      copyRows(following, blocking.outputGradient, block.tile.outputGradient,
               dims.valueDim, {});
    });
  });
  addProduct(scoreGradients, blocking.scoreGradient, blocking.query, dims.dim,
             stage, keyGradient);
  if (blocking.stages == 1) {
    // Nobody reads Q any more.
    emit.synchronise();
    emit.ifThen(more, [&] { copyQueries(following); });
  }
  commitCopies(emit);
  return sums;
}

// A B^T for the warp's keys and its part of the rows.
BackwardKernel::Tiles BackwardKernel::multiplyRows(const SharedTile &a,
                                                   const SharedTile &b, int dim,
                                                   Value stage) {
  FragmentLoader keys(emit, a, Operand::a, warpKey);
  FragmentLoader rows(emit, b, Operand::b,
                      part ? emit.mul(part, rowsOfWarp()) : Value());
  Tiles sums(rowsOfWarp() / 8, Values(4, emit.f32(0)));
  for (int k = 0; k < dim; k += 16) {
    Fragment left = keys.load(0, k);
    for (int row = 0; row < rowsOfWarp(); row += 16) {
      Fragment right = rows.load(row, k, stage);
      for (int half = 0; half < 2; ++half)
        multiply(emit, element, sums[row / 8 + half], left,
                 ArrayRef<Value>(right).slice(2 * half, 2));
    }
  }
  return sums;
}

// Returns the LSE in units of log 2; +inf, which leaves no weight, if it is
// -inf.
static Value originOfLse(DeviceEmitter &emit, Value lse) {
  Value some = emit.differs(lse, -INFINITY);
  return emit.select(some, emit.mulf(lse, emit.f32(1.44269504f)),
                     emit.f32(INFINITY));
}

// S^T and dP^T become P^T and dS^T. Weights are at most 1, however LSE was
// rounded; a weight of 0 leaves nothing of dP, whatever it is.
void BackwardKernel::weigh(const ItemFields &item, const Block &block,
                           Tiles &scores, Tiles &gradients) {
  Value row = emit.add(emit.mul(block.stage, blocking.rows), laneColumn(emit));
  if (part)
    row = emit.add(row, emit.mul(part, rowsOfWarp()));
  Value offset = emit.shiftLeft(row, 2);
  Value scale = arguments.scaleLog2();
  Tiles deltas;
  for (auto [tile, four] : llvm::enumerate(scores)) {
    auto load = [&](int array) {
      Value pair = emit.loadShared(emit.vectorOf(emit.f32(), 2),
                                   emit.add(shared(array), offset), 32 * tile);
      return Values{emit.extract(pair, 0), emit.extract(pair, 1)};
    };
    Values lse = load(blocking.lse);
    deltas.push_back(load(blocking.delta));
    for (Value &one : lse)
      one = originOfLse(emit, one);
    for (int i = 0; i < 4; ++i) {
      Value score = emit.mulf(four[i], scale);
      four[i] = emit.exp2(
          emit.minimumOrNan(emit.subf(score, lse[i % 2]), emit.f32(0)));
    }
  }
  mask(item, block, scores);
  for (auto [tile, four] : llvm::enumerate(gradients))
    for (int i = 0; i < 4; ++i) {
      Value weight = scores[tile][i];
      Value gradient =
          emit.mulf(weight, emit.subf(four[i], deltas[tile][i % 2]));
      four[i] = emit.select(emit.differs(weight, 0), gradient, emit.f32(0));
    }
}

// Weights of pairs outside the band become 0. Most blocks are seen whole.
void BackwardKernel::mask(const ItemFields &item, const Block &block,
                          Tiles &weights) {
  Values list;
  for (const Values &four : weights)
    list.append(four);
  Value whole = emit.both(block.tile.band.allSeen(emit, block.rows.tokens(),
                                                  item.first, blocking.keys()),
                          block.rows.allUsed());
  SmallVector<Type> types(list.size(), emit.f32());
  Values masked = emit.ifElse(
      whole, types, [&] { return list; },
      [&] {
        Value row =
            emit.add(emit.mul(block.stage, blocking.rows), laneColumn(emit));
        if (part)
          row = emit.add(row, emit.mul(part, rowsOfWarp()));
        Value bands = emit.add(shared(blocking.bands), emit.shiftLeft(row, 3));
        for (size_t tile = 0; tile < weights.size(); ++tile)
          maskTile(item, emit.add(bands, 64 * tile),
                   MutableArrayRef<Value>(list).slice(4 * tile, 4));
        return list;
      });
  for (auto [tile, four] : llvm::enumerate(weights))
    llvm::copy(ArrayRef<Value>(masked).slice(4 * tile, 4), four.begin());
}

// Two keys and two rows, whose bands lie behind each other.
void BackwardKernel::maskTile(const ItemFields &item, Value bands,
                              MutableArrayRef<Value> four) {
  Value pair = emit.loadShared(emit.vectorOf(emit.i32(), 4), bands);
  Value first =
      emit.add(emit.add(item.first, warpKey), emit.shiftRight(laneId(emit), 2));
  for (int i = 0; i < 4; ++i) {
    Value key = emit.add(first, i / 2 * 8);
    Value low = emit.extract(pair, i % 2 * 2);
    Value high = emit.extract(pair, i % 2 * 2 + 1);
    Value seen = emit.both(emit.atMost(low, key), emit.lessThan(key, high));
    four[i] = emit.select(seen, four[i], emit.f32(0));
  }
}

// Rounds the warp's keys x rows into its part of a tile.
void BackwardKernel::storeTransposed(const Tiles &sums,
                                     const SharedTile &target) {
  Value first = emit.pin(emit.add(warpKey, emit.shiftRight(laneId(emit), 2)));
  Value column = emit.mul(laneColumn(emit), elementBytes);
  for (auto [tile, four] : llvm::enumerate(sums))
    for (int half = 0; half < 2; ++half) {
      Value chunk = emit.i32(tile);
      if (part)
        chunk = emit.add(chunk, emit.mul(part, rowsOfWarp() / chunkColumns));
      Value offset = target.chunkOffset(emit, emit.add(first, 8 * half), chunk);
      emit.storeShared(
          emit.packPair(element, four[2 * half], four[2 * half + 1]),
          emit.add(emit.add(emit.sharedBase(), offset), column), target.offset);
    }
}

// sums += A B for the warp's keys and its columns, summed over all rows of the
// block: A is what the warp has in registers, if it has all rows, or a tile.
void BackwardKernel::addProduct(const Tiles &weights, const SharedTile &stored,
                                const SharedTile &b, int dim, Value stage,
                                MutableArrayRef<Value> sums) {
  FragmentLoader keys(emit, stored, Operand::a, warpKey);
  FragmentLoader rows(emit, b, Operand::bTransposed, {}, part);
  for (int row = 0; row < blocking.rows; row += 16) {
    Fragment left;
    if (part) {
      left = keys.load(0, row);
    } else {
      Values eight = weights[row / 8];
      eight.append(weights[row / 8 + 1]);
      left = roundToA(emit, element, eight);
    }
    for (int column = 0; column < dim; column += groupStride()) {
      Fragment right = rows.load(row, column, stage);
      for (int half = 0; half < 2; ++half)
        multiply(emit, element,
                 sums.slice((2 * (column / groupStride()) + half) * 4, 4), left,
                 ArrayRef<Value>(right).slice(2 * half, 2));
    }
  }
}

// dQ of 16 rows and every other 16 columns, summed over all keys of the item.
BackwardKernel::Tiles BackwardKernel::multiplyScoreGradients() {
  FragmentLoader rows(emit, blocking.scoreGradient, Operand::aTransposed, {},
                      emit.shiftRight(warp, 1));
  FragmentLoader keys(emit, blocking.key, Operand::bTransposed, {},
                      gradientPart);
  Tiles sums(dims.dim / 16, Values(4, emit.f32(0)));
  for (int key = 0; key < blocking.keys(); key += 16) {
    Fragment left = rows.load(key, 0);
    for (int column = 0; column < dims.dim; column += 32) {
      Fragment right = keys.load(key, column);
      for (int half = 0; half < 2; ++half)
        multiply(emit, element, sums[column / 16 + half], left,
                 ArrayRef<Value>(right).slice(2 * half, 2));
    }
  }
  return sums;
}

// Key blocks of a tile follow each other, from the first that the block sees.
BackwardKernel::Turn BackwardKernel::turnOf(const ItemFields &item,
                                            const Block &block) {
  const BackwardTileFields &tile = block.tile;
  Value entry = emit.add(
      arguments.turns(),
      emit.mul(emit.widenUnsigned(emit.add(tile.firstTurn, block.number)),
               sizeof(gpu::Turn)));
  Value before =
      emit.loadGlobal(emit.i32(), entry, offsetof(gpu::Turn, before));
  Value count = emit.loadGlobal(emit.i32(), entry, offsetof(gpu::Turn, count));
  IndexRange seen = tile.band.keysSeen(emit, block.rows.tokens());
  Value index = emit.sub(emit.div(item.first, blocking.keys()),
                         emit.div(seen.begin, blocking.keys()));
  Value size = tokensPerBlock(emit, blocking.rows, arguments.group());
  Value blocks =
      emit.divide(emit.sub(emit.add(tile.band.queryCount, size), 1), size);
  Value counter = emit.add(
      emit.add(tile.firstCounter, emit.mul(block.rows.keyHead(), blocks)),
      block.number);
  return {
      emit.add(arguments.counters(), emit.mul(emit.widenUnsigned(counter), 4)),
      emit.add(before, index), count};
}

// Adds a block of dQ when its turn has come. What runs meanwhile starts when
// all warps have got here.
void BackwardKernel::addQueryGradient(const ItemFields &item,
                                      const Block &block, const Tiles &sums,
                                      function_ref<void()> meanwhile) {
  Turn turn = turnOf(item, block);
  Value first = emit.isEqual(emit.threadId(), 0);
  auto load = [&] {
    return emit.ptx("ld.acquire.gpu.global.u32 $0, [$1];", "=r,l", turn.counter,
                    emit.i32());
  };
  emit.ifThen(first, [&] {
    emit.whileLoop(
        load(),
        [&](ValueRange count) {
          return emit.notEqual(emit.sub(count[0], turn.number), 0);
        },
        [&](ValueRange) { return load(); });
  });
  emit.synchronise();
  meanwhile();
  addRows(block, sums);
  emit.synchronise();
  emit.ifThen(first, [&] {
    Value next = emit.add(turn.number, 1);
    Value last = emit.isEqual(next, turn.count);
    emit.ptx("st.release.gpu.global.u32 [$0], $1;", "l,r",
             {turn.counter, emit.select(last, emit.i32(0), next)}, {});
  });
}

void BackwardKernel::addRows(const Block &block, const Tiles &sums) {
  Value scale = arguments.scale();
  Value column = emit.add(emit.mul(gradientPart, 16), laneColumn(emit));
  Value first = emit.add(gradientRow, emit.shiftRight(laneId(emit), 2));
  for (int half = 0; half < 2; ++half) {
    RowPlace place = block.rows.at(emit.add(first, 8 * half));
    TensorRows head =
        ofHead(emit, block.tile.queryGradient, place.head, dims.dim * 4);
    Value address = emit.add(head.row(emit, place.token),
                             emit.widenUnsigned(emit.mul(column, 4)));
    emit.ifThen(place.used, [&] {
      for (auto [tile, four] : llvm::enumerate(sums))
        for (int i = 0; i < 2; ++i)
          addToMemory(address, emit.mulf(four[2 * half + i], scale),
                      (32 * (tile / 2) + 8 * (tile % 2) + i) * 4);
    });
  }
}

// Adds the warp's keys and columns of dK or dV to memory.
void BackwardKernel::finish(const ItemFields &item,
                            const BackwardTileFields &tile,
                            ArrayRef<Value> sums, const TensorRows &target,
                            int dim, Value scale) {
  Value head = emit.divide(item.headBegin, arguments.group());
  TensorRows rows = ofHead(emit, target, head, dim * 4);
  Value first =
      emit.add(emit.add(item.first, warpKey), emit.shiftRight(laneId(emit), 2));
  Value column = laneColumn(emit);
  if (part)
    column = emit.add(column, emit.mul(part, 16));
  for (int half = 0; half < 2; ++half) {
    Value key = emit.add(first, 8 * half);
    Value address =
        emit.add(rows.row(emit, key), emit.widenUnsigned(emit.mul(column, 4)));
    emit.ifThen(emit.lessThan(key, tile.band.keyCount), [&] {
      for (size_t n = 0; n < sums.size() / 4; ++n)
        for (int i = 0; i < 2; ++i)
          addToMemory(address, emit.mulf(sums[4 * n + 2 * half + i], scale),
                      (groupStride() * (n / 2) + 8 * (n % 2) + i) * 4);
    });
  }
}

void BackwardKernel::addToMemory(Value address, Value sum, int64_t offset) {
  emit.ptx("red.relaxed.gpu.global.add.f32 [$0 + " + Twine(offset) + "], $1;",
           "l,f", {address, sum}, {});
}

void buildBackward(ModuleOp module, const AttentionShape &shape) {
  KernelInfo info = sm80::backwardInfo(shape);
  addDeviceKernel(module, info.symbol, {info.threads, info.sharedBytes},
                  [&](DeviceEmitter &emit, Value pointer) {
                    BackwardKernel(emit, pointer, shape).build();
                  });
}

} // namespace flashcp::codegen::nvptx::sm80
