// Forward attention in the manner of FlashAttention-2: a block of packed query
// rows stays in shared memory, keys and values come block by block, and O stays
// in registers over the whole chain of tiles.
//
// Copies of V run while Q K^T is computed, copies of the next K while softmax
// and P V are. A block whose O is not finite in the end is computed again,
// carefully: weights of 0 then take nothing of a value that is not finite, as
// masked keys may have.

#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/PackedRows.h"
#include "codegen/nvptx/Softmax.h"
#include "codegen/nvptx/Tables.h"
#include "codegen/nvptx/kernel_abi.h"
#include "codegen/nvptx/sm80/Blocking.h"
#include "codegen/nvptx/sm80/Fragments.h"
#include "codegen/nvptx/sm80/Sm80Kernels.h"
#include "codegen/nvptx/sm80/TileCopy.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm80 {

namespace {

/// Scores of a warp's rows and a block of keys, then weights: by lane's row,
/// two columns of every 8.
using Scores = SmallVector<Values>;

/// O and the rows of a warp, as far as a lane has them.
struct State {
  Values sums; // [fragment][8 columns][4]
  SmallVector<RowState> rows;
};

class ForwardKernel {
public:
  ForwardKernel(DeviceEmitter &emit, Value pointer, const AttentionShape &shape)
      : emit(emit), arguments(emit, pointer), element(shape.element),
        dims(shape.dims), blocking(forwardBlocking(shape.dims)),
        warp(warpId(emit)), warpRow(emit.mul(warp, blocking.warpRows())),
        copyQuery(emit, blocking.query, blocking.threads()),
        copyKey(emit, blocking.key, blocking.threads()),
        copyValue(emit, blocking.value, blocking.threads()),
        queries(emit, blocking.query, Operand::a, warpRow),
        keys(emit, blocking.key, Operand::b),
        values(emit, blocking.value, Operand::bTransposed),
        types(kMaxDim, emit.f32()) {}

  void build() {
    forEachItem(emit, arguments, sizeof(gpu::ForwardItem),
                emit.add(emit.sharedBase(), blocking.slot),
                [&](Value item) { runItem(item); });
  }

private:
  /// What a block of rows is, for all its tiles.
  struct Block {
    ItemFields item;
    PackedRows rows;
  };

  // What state carries through loops, as a list.
  int sumCount() const { return blocking.fragments * dims.valueDim / 2; }
  Values listOf(const State &state) const;
  State stateOf(ValueRange list) const;
  // A row's part of `sums`: two columns of every 8.
  int sumIndex(int row, int column) const {
    return row / 2 * dims.valueDim / 2 + column / 2 * 4 + row % 2 * 2 +
           column % 2;
  }
  // The packed row of a lane's row.
  Value rowOfLane(int row) {
    return emit.add(emit.add(warpRow, emit.shiftRight(laneId(emit), 2)),
                    8 * row);
  }
  int rowCount() const { return 2 * blocking.fragments; }
  int rowColumns() const { return dims.valueDim / 4; }

  void runItem(Value address);
  Block blockAt(Value address);
  void copyQueries(const Block &block);
  State start(const Block &block);
  Values loadRow(const RowPlace &place, const ForwardTileFields &tile);
  State runChain(const Block &block, State state, Value careful);
  State runTile(const Block &block, const ForwardTileFields &tile, State state,
                Value careful);
  void copyKeys(const TileCopy &copy, const TensorRows &rows, Value first,
                Value count);
  Scores multiplyKeys();
  void mask(const Block &block, const TileBand &band, Value first,
            Scores &scores);
  void addBlock(State &state, Scores &scores, Value careful);
  Values addValues(const Scores &weights, Values sums);
  Values addValuesCarefully(const Scores &weights, Values sums);
  Value weightOf(const Scores &weights, int row, Value key);
  Value nextPass(const Block &block, const State &state);
  void finish(const Block &block, State state);
  void storeRounded(const Block &block, const ForwardTileFields &tile,
                    const Values &sums);
  void storeTileRows(const Block &block, const TensorRows &target);
  void storeSums(const Block &block, const ForwardTileFields &tile,
                 const Values &sums);
  TypeRange floats(size_t count) const {
    return TypeRange(ArrayRef<Type>(types).take_front(count));
  }

  DeviceEmitter &emit;
  Arguments arguments;
  Element element;
  HeadDims dims;
  ForwardBlocking blocking;
  Value warp, warpRow;
  TileCopy copyQuery, copyKey, copyValue;
  FragmentLoader queries, keys, values;
  SmallVector<Type> types;
};

} // namespace

Values ForwardKernel::listOf(const State &state) const {
  Values list = state.sums;
  for (const RowState &row : state.rows)
    list.append({row.maximum, row.sum});
  return list;
}

State ForwardKernel::stateOf(ValueRange list) const {
  State state;
  state.sums.assign(list.begin(), list.begin() + sumCount());
  for (int i = sumCount(); i < int(list.size()); i += 2)
    state.rows.push_back({list[i], list[i + 1]});
  return state;
}

// The address of a row and head in a tensor of `bytes` a head.
static Value addressOf(DeviceEmitter &emit, const TensorRows &tensor,
                       const RowPlace &place, int bytes) {
  return emit.add(tensor.row(emit, place.token),
                  emit.widenUnsigned(emit.mul(place.head, bytes)));
}

// The rows of one head.
static TensorRows ofHead(DeviceEmitter &emit, const TensorRows &tensor,
                         Value head, int dim) {
  Value offset = emit.widenUnsigned(emit.mul(head, dim * elementBytes));
  return {emit.add(tensor.address, offset), tensor.rowBytes};
}

void ForwardKernel::runItem(Value address) {
  copyQueries(blockAt(address));
  // Passes: 0 is as fast as can be, 1 careful, 2 the end.
  State empty = {Values(sumCount(), emit.f32(0)),
                 SmallVector<RowState>(rowCount(), emptyRow(emit))};
  Values init = {emit.i32(0)};
  init.append(listOf(empty));
  Values results = emit.whileLoop(
      init, [&](ValueRange carried) { return emit.lessThan(carried[0], 2); },
      [&](ValueRange carried) {
        Value careful = emit.notEqual(carried[0], 0);
        State state = start(blockAt(address));
        state = runChain(blockAt(address), state, careful);
        Values list = emit.ifElse(
            careful, TypeRange(emit.i32()), [&] { return Values{emit.i32(2)}; },
            [&] { return Values{nextPass(blockAt(address), state)}; });
        list.append(listOf(state));
        return list;
      });
  finish(blockAt(address), stateOf(ValueRange(results).drop_front()));
}

// Reads the item anew, so that its fields take no registers meanwhile.
ForwardKernel::Block ForwardKernel::blockAt(Value address) {
  ItemFields item = readItem(emit, emit.pin(address));
  ForwardTileFields tile = readForwardTile(emit, arguments, item.tileBegin);
  return {item, PackedRows(emit, arguments.group(), blocking.rows(), item.first,
                           tile.band.queryCount, item.headBegin, item.headEnd)};
}

void ForwardKernel::copyQueries(const Block &block) {
  ForwardTileFields tile =
      readForwardTile(emit, arguments, block.item.tileBegin);
  copyQuery.start([&](Value row) {
    RowPlace place = block.rows.at(row);
    return SourceRow{
        addressOf(emit, tile.query, place, dims.dim * elementBytes),
        place.used};
  });
  commitCopies(emit);
}

// Rows start empty, or from a partial result.
State ForwardKernel::start(const Block &block) {
  ForwardTileFields tile =
      readForwardTile(emit, arguments, block.item.tileBegin);
  State state = {Values(sumCount()), {}};
  for (int row = 0; row < rowCount(); ++row) {
    RowPlace place = block.rows.at(rowOfLane(row));
    Value isFirst = hasFlag(emit, tile.flags, gpu::ForwardTile::kFirst);
    Value loads = emit.both(place.used, emit.isEqual(isFirst, 0));
    auto empty = [&] {
      Values list(rowColumns(), emit.f32(0));
      RowState nothing = emptyRow(emit);
      list.append({nothing.maximum, nothing.sum});
      return list;
    };
    Values list = emit.ifElse(
        loads, floats(rowColumns() + 2), [&] { return loadRow(place, tile); },
        empty);
    for (int column = 0; column < rowColumns(); ++column)
      state.sums[sumIndex(row, column)] = list[column];
    state.rows.push_back({list[rowColumns()], list[rowColumns() + 1]});
  }
  return state;
}

// The lane's columns of a row of the accumulator, which holds nothing if the
// LSE is -inf, and the row's state.
Values ForwardKernel::loadRow(const RowPlace &place,
                              const ForwardTileFields &tile) {
  Value address =
      emit.add(addressOf(emit, tile.accumulator, place, dims.valueDim * 4),
               emit.widenUnsigned(emit.mul(laneColumn(emit), 4)));
  auto load = [&] {
    Values list;
    for (int column = 0; column < rowColumns(); column += 2) {
      Value pair =
          emit.loadGlobal(emit.vectorOf(emit.f32(), 2), address, 16 * column);
      list.append({emit.extract(pair, 0), emit.extract(pair, 1)});
    }
    return list;
  };
  Value lse = emit.loadGlobal(emit.f32(), addressOf(emit, tile.lse, place, 4));
  Values list =
      emit.ifElse(emit.differs(lse, -INFINITY), floats(rowColumns()), load,
                  [&] { return Values(rowColumns(), emit.f32(0)); });
  RowState state = rowOfLse(emit, lse);
  list.append({state.maximum, state.sum});
  return list;
}

State ForwardKernel::runChain(const Block &block, State state, Value careful) {
  return stateOf(emit.loop(
      {block.item.tileBegin, block.item.tileEnd}, 1, listOf(state),
      [&](Value number, ValueRange list) {
        ForwardTileFields tile = readForwardTile(emit, arguments, number);
        return listOf(runTile(block, tile, stateOf(list), careful));
      }));
}

State ForwardKernel::runTile(const Block &block, const ForwardTileFields &tile,
                             State state, Value careful) {
  IndexRange seen = tile.band.keysSeen(emit, block.rows.tokens());
  Value some = emit.lessThan(seen.begin, seen.end);
  Value begin = emit.mul(emit.div(seen.begin, blocking.keys), blocking.keys);
  Value end = emit.select(some, seen.end, begin);
  Value head = block.rows.keyHead();
  TensorRows key = ofHead(emit, tile.key, head, dims.dim);
  TensorRows value = ofHead(emit, tile.value, head, dims.valueDim);
  Value count = tile.band.keyCount;
  emit.ifThen(some, [&] { copyKeys(copyKey, key, begin, count); });
  auto runBlock = [&](Value first, ValueRange list) {
    // K is there, and nobody reads the last V any more.
    waitForCopies(emit, 0);
    emit.synchronise();
    copyKeys(copyValue, value, first, count);
    Scores scores = multiplyKeys();
    // V is there, and nobody reads this K any more.
    waitForCopies(emit, 0);
    emit.synchronise();
    Value next = emit.add(first, blocking.keys);
    emit.ifThen(emit.lessThan(next, end),
                [&] { copyKeys(copyKey, key, next, count); });
    mask(block, tile.band, first, scores);
    State carried = stateOf(list);
    addBlock(carried, scores, careful);
    return listOf(carried);
  };
  return stateOf(
      emit.loop({begin, end}, blocking.keys, listOf(state), runBlock));
}

// Starts to copy a block of keys or values; rows past the last become zeros.
void ForwardKernel::copyKeys(const TileCopy &copy, const TensorRows &rows,
                             Value first, Value count) {
  copy.start([&](Value row) {
    Value key = emit.add(first, row);
    return SourceRow{rows.row(emit, key), emit.lessThan(key, count)};
  });
  commitCopies(emit);
}

// S = Q K^T.
Scores ForwardKernel::multiplyKeys() {
  SmallVector<Values> sums(blocking.fragments * blocking.keys / 8,
                           Values(4, emit.f32(0)));
  for (int k = 0; k < dims.dim; k += 16) {
    SmallVector<Fragment> a;
    for (int i = 0; i < blocking.fragments; ++i)
      a.push_back(queries.load(16 * i, k));
    for (int key = 0; key < blocking.keys; key += 16) {
      Fragment b = keys.load(key, k);
      for (int i = 0; i < blocking.fragments; ++i)
        for (int half = 0; half < 2; ++half)
          multiply(emit, element, sums[i * blocking.keys / 8 + key / 8 + half],
                   a[i], ArrayRef<Value>(b).slice(2 * half, 2));
    }
  }
  Scores scores(rowCount());
  for (auto [tile, four] : llvm::enumerate(sums))
    for (int i = 0; i < 4; ++i)
      scores[2 * (tile / (blocking.keys / 8)) + i / 2].push_back(four[i]);
  return scores;
}

// Most blocks are seen whole: a branch that all threads take alike.
void ForwardKernel::mask(const Block &block, const TileBand &band, Value first,
                         Scores &scores) {
  Values list;
  for (const Values &row : scores)
    list.append(row);
  Value whole = band.allSeen(emit, block.rows.tokens(), first, blocking.keys);
  Values masked = emit.ifElse(
      whole, floats(list.size()), [&] { return list; },
      [&] {
        Value column = emit.add(first, laneColumn(emit));
        for (int row = 0; row < rowCount(); ++row) {
          Value token = block.rows.token(emit.pin(rowOfLane(row)));
          Value high = emit.minimum(emit.add(token, band.high), band.keyCount);
          maskRow(emit,
                  MutableArrayRef<Value>(list).slice(row * blocking.keys / 4,
                                                     blocking.keys / 4),
                  emit.sub(emit.add(token, band.low), column),
                  emit.sub(high, column));
        }
        return list;
      });
  for (auto [row, columns] : llvm::enumerate(scores))
    llvm::copy(
        ArrayRef<Value>(masked).slice(row * columns.size(), columns.size()),
        columns.begin());
}

// Softmax, and O = factor * O + P V.
void ForwardKernel::addBlock(State &state, Scores &scores, Value careful) {
  Value scale = arguments.scaleLog2();
  for (int row = 0; row < rowCount(); ++row) {
    Value factor = addScores(emit, state.rows[row], scores[row], scale);
    for (int column = 0; column < rowColumns(); ++column) {
      Value &sum = state.sums[sumIndex(row, column)];
      sum = emit.mulf(sum, factor);
    }
  }
  state.sums = emit.ifElse(
      careful, floats(sumCount()),
      [&] { return addValuesCarefully(scores, state.sums); },
      [&] { return addValues(scores, state.sums); });
}

// Weights in the layout of sums are fragments of A as they are.
Values ForwardKernel::addValues(const Scores &weights, Values sums) {
  for (int key = 0; key < blocking.keys; key += 16) {
    SmallVector<Fragment> a(blocking.fragments);
    for (int i = 0; i < blocking.fragments; ++i)
      for (int j = 0; j < 4; ++j) {
        const Values &row = weights[2 * i + j % 2];
        int column = key / 4 + j / 2 * 2;
        a[i][j] = emit.packPair(element, row[column], row[column + 1]);
      }
    for (int dim = 0; dim < dims.valueDim; dim += 16) {
      Fragment b = values.load(key, dim);
      for (int i = 0; i < blocking.fragments; ++i)
        for (int half = 0; half < 2; ++half)
          multiply(emit, element,
                   MutableArrayRef<Value>(sums).slice(
                       i * dims.valueDim / 2 + (dim / 8 + half) * 4, 4),
                   a[i], ArrayRef<Value>(b).slice(2 * half, 2));
    }
  }
  return sums;
}

// Key by key; nothing is taken of a value whose weight is 0.
Values ForwardKernel::addValuesCarefully(const Scores &weights, Values sums) {
  Value column = emit.mul(laneColumn(emit), elementBytes);
  auto addKey = [&](Value key, ValueRange list) {
    Values sums(list);
    Values rows;
    for (int row = 0; row < rowCount(); ++row)
      rows.push_back(weightOf(weights, row, key));
    for (int dim = 0; dim < dims.valueDim; dim += 8) {
      Value address =
          emit.add(emit.add(emit.sharedBase(),
                            blocking.value.elementOffset(emit, key, dim)),
                   column);
      auto [low, high] = emit.unpackPair(
          element, emit.loadShared(emit.i32(), address, blocking.value.offset));
      for (int row = 0; row < rowCount(); ++row)
        for (int i = 0; i < 2; ++i) {
          Value &sum = sums[sumIndex(row, dim / 4 + i)];
          Value more = emit.fma(rows[row], i ? high : low, sum);
          sum = emit.select(emit.differs(rows[row], 0), more, sum);
        }
    }
    return sums;
  };
  return emit.loop({emit.i32(0), emit.i32(blocking.keys)}, 1, sums, addKey);
}

// The weight of one key, which one of the row's four lanes has.
Value ForwardKernel::weightOf(const Scores &weights, int row, Value key) {
  Value weight = emit.f32(0);
  for (auto [column, candidate] : llvm::enumerate(weights[row])) {
    Value group = emit.i32(8 * (column / 2) + column % 2);
    Value isIts = emit.isEqual(emit.bitAnd(key, ~int64_t{6}), group);
    weight = emit.select(isIts, candidate, weight);
  }
  Value lane = emit.add(emit.bitAnd(laneId(emit), 28),
                        emit.bitAnd(emit.shiftRight(key, 1), 3));
  return emit.shuffleIndex(weight, lane);
}

// Returns 1 if a row that is stored has a NaN or an infinity, for all threads,
// 2 if not: the pass that comes next.
Value ForwardKernel::nextPass(const Block &block, const State &state) {
  Value some = emit.isEqual(emit.i32(0), 1);
  for (int row = 0; row < rowCount(); ++row) {
    Value test = emit.f32(0);
    for (int column = 0; column < rowColumns(); ++column)
      test = emit.fma(state.sums[sumIndex(row, column)], emit.f32(0), test);
    Value used = block.rows.at(rowOfLane(row)).used;
    some = emit.either(some, emit.both(used, emit.differs(test, 0)));
  }
  Value votes = emit.add(emit.sharedBase(), blocking.votes);
  Value vote = emit.select(emit.anyLane(some), emit.i32(1), emit.i32(0));
  emit.ifThen(emit.isEqual(laneId(emit), 0), [&] {
    emit.storeShared(vote, emit.add(votes, emit.mul(warp, 4)));
  });
  emit.synchronise();
  Value any = emit.i32(0);
  for (int warp = 0; warp < blocking.warps; ++warp)
    any = emit.either(any, emit.loadShared(emit.i32(), votes, 4 * warp));
  return emit.sub(emit.i32(2), any);
}

void ForwardKernel::finish(const Block &block, State state) {
  ForwardTileFields tile =
      readForwardTile(emit, arguments, emit.sub(block.item.tileEnd, 1));
  for (int row = 0; row < rowCount(); ++row) {
    RowResult result = finishRow(emit, state.rows[row]);
    for (int column = 0; column < rowColumns(); ++column) {
      Value &sum = state.sums[sumIndex(row, column)];
      sum = emit.select(emit.differs(result.inverse, 0),
                        emit.mulf(sum, result.inverse), emit.f32(0));
    }
    RowPlace place = block.rows.at(rowOfLane(row));
    Value stores =
        emit.both(place.used, emit.isEqual(emit.bitAnd(laneId(emit), 3), 0));
    emit.ifThen(stores, [&] {
      emit.storeGlobal(result.lse, addressOf(emit, tile.lse, place, 4));
    });
  }
  Value last = hasFlag(emit, tile.flags, gpu::ForwardTile::kLast);
  emit.ifThenElse(
      last, [&] { storeRounded(block, tile, state.sums); },
      [&] { storeSums(block, tile, state.sums); });
}

// Rounded rows go through shared memory, to be stored 16 bytes at a time.
void ForwardKernel::storeRounded(const Block &block,
                                 const ForwardTileFields &tile,
                                 const Values &sums) {
  emit.synchroniseWarp();
  Value column = emit.mul(laneColumn(emit), elementBytes);
  Value first = emit.pin(rowOfLane(0));
  const SharedTile &output = blocking.output;
  for (int row = 0; row < rowCount(); ++row) {
    Value local = emit.add(first, 8 * row);
    for (int dim = 0; dim < dims.valueDim; dim += 8) {
      Value address = emit.add(
          emit.add(emit.sharedBase(), output.elementOffset(emit, local, dim)),
          column);
      emit.storeShared(emit.packPair(element, sums[sumIndex(row, dim / 4)],
                                     sums[sumIndex(row, dim / 4 + 1)]),
                       address, output.offset);
    }
  }
  emit.synchroniseWarp();
  storeTileRows(block, tile.output);
}

// Each lane stores a chunk of every slab of some rows.
void ForwardKernel::storeTileRows(const Block &block,
                                  const TensorRows &target) {
  const SharedTile &output = blocking.output;
  int rowsPerPass = warpThreads / output.slabChunks();
  Value chunk = emit.bitAnd(laneId(emit), output.slabChunks() - 1);
  Value first =
      emit.pin(emit.add(warpRow, emit.div(laneId(emit), output.slabChunks())));
  for (int down = 0; down < blocking.warpRows(); down += rowsPerPass) {
    Value row = emit.add(first, down);
    RowPlace place = block.rows.at(row);
    Value from =
        emit.add(emit.sharedBase(), output.chunkOffset(emit, row, chunk));
    Value to =
        emit.add(addressOf(emit, target, place, dims.valueDim * elementBytes),
                 emit.widenUnsigned(emit.mul(chunk, chunkBytes)));
    emit.ifThen(place.used, [&] {
      for (int slab = 0; slab < output.slabs(); ++slab)
        emit.storeGlobal(
            emit.loadShared(emit.vectorOf(emit.i32(), 4), from,
                            output.offset + slab * output.slabBytes()),
            to, slab * output.rowBytes());
    });
  }
}

void ForwardKernel::storeSums(const Block &block, const ForwardTileFields &tile,
                              const Values &sums) {
  for (int row = 0; row < rowCount(); ++row) {
    RowPlace place = block.rows.at(rowOfLane(row));
    Value address =
        emit.add(addressOf(emit, tile.accumulator, place, dims.valueDim * 4),
                 emit.widenUnsigned(emit.mul(laneColumn(emit), 4)));
    emit.ifThen(place.used, [&] {
      for (int column = 0; column < rowColumns(); column += 2)
        emit.storeGlobal(emit.join({sums[sumIndex(row, column)],
                                    sums[sumIndex(row, column + 1)]}),
                         address, 16 * column);
    });
  }
}

void buildForward(ModuleOp module, const AttentionShape &shape) {
  KernelInfo info = sm80::forwardInfo(shape);
  addDeviceKernel(module, info.symbol, {info.threads, info.sharedBytes},
                  [&](DeviceEmitter &emit, Value pointer) {
                    ForwardKernel(emit, pointer, shape).build();
                  });
}

} // namespace flashcp::codegen::nvptx::sm80
