// The backward kernel: a block of query panels against a block of keys, the
// five products of FlashAttention-2.
//
// With the scores S = K Q^T of the forward kernel again, scaled, rounded and
// transposed as there, P = 2^(S - lse), dP = V dO^T and dS = P * (dP - delta):
//   dV += P^T dO,  dK += dS^T Q,  dQ^T += K^T dS.
// The caller multiplies dQ and dK by the scale. dV and dK sum over query
// rows, in one ascending order over all panels of the block.

#include "codegen/x86/Exp2.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace flashcp::codegen::x86 {

std::string backwardSymbol(const KernelShape &shape) {
  return "flashcp_backward_" + shape.name();
}

namespace {

// The arguments, in order. Rows are all rows of the block of queries, keys all
// keys of the block. A chunk is the dims whose gradients are summed side by
// side, and "by row" words pair rows, if words are pairs.
enum Argument {
  Query,          // [panel][dim][row of the panel] words; f32: times Scale
  OutputGradient, // [panel][value dim][row of the panel] words
  QueryRows,      // [dim / chunk][row][chunk] words, by row
  GradientRows,   // [value dim / chunk][row][chunk] words, by row
  RowConstants,   // [2][row]: LSE in units of log 2; delta
  Visible,        // [2][row]: first key that a row sees, one after the last
  Ranges,         // [panel][PanelBound]: keys of the block
  RowWords,       // [key / gradient group][2]: words, by row, of the rows that
                  // see any of the keys: the first, and one after the last
  Keys,           // [key / group][dim][group] words
  ValueKeys,      // [key / group][value dim][group] words
  KeysByDim,      // [dim / group][key][group] words, by key
  QueryGradient,  // [panel][dim][row of the panel] f32
  KeyGradient,    // [dim / chunk][key][chunk] f32
  ValueGradient,  // [value dim / chunk][key][chunk] f32
  Weights,        // [key][row] words, by row: P, scratch
  ScoreGradients, // [key][row] words, by row: dS, scratch
  PanelWeights,   // [key][row of the panel] f32, scratch for pairs
  PanelScoreGradients, // [key][row of the panel] words by key, scratch for
                       // pairs
  Panels,              // number of panels of the block that hold rows
  KeyCount,            // a multiple of group and of gradient group
  FirstKey,            // the first key of the block, as `Visible` counts
  Scale,               // of scores, times log2(e)
  Dim,                 // used by the kernel for any dim
  ValueDim,
  PairsAhead,    // addresses of pairs of lines that are needed next
  PairsPerGroup, // of them, fetched with each group of keys of a panel: with
                 // its scores and with their gradients
};

// Columns of `Ranges`, a row a panel.
enum PanelBound {
  Begin, // keys that any row sees, multiples of the group
  End,
  UnmaskedBegin, // keys that all rows see
  UnmaskedEnd,
  NarrowBegin, // from this key on, a multiple of the group, rows of the first
               // vector see none
};
static_assert(NarrowBegin + 1 == kBoundsPerPanel);

class BackwardKernel {
public:
  BackwardKernel(VectorEmitter &emit, Block::BlockArgListType arguments)
      : emit(emit), target(emit.target()), arguments(arguments) {}

  void build() {
    const KernelShape &shape = emit.shape();
    zero = emit.index(0);
    words = target.elementsPerWord();
    dim = shape.anyDim ? Value(arguments[Dim]) : emit.index(shape.dim);
    valueDim =
        shape.anyDim ? Value(arguments[ValueDim]) : emit.index(shape.valueDim);
    emit.loop({zero, arguments[Panels]}, 1, [&](Value panel) {
      Value begin = range(panel, Begin), end = range(panel, End);
      Value wideEnd =
          emit.minimum(emit.maximum(range(panel, NarrowBegin), begin), end);
      IndexRange wide = {begin, wideEnd}, narrow = {wideEnd, end};
      clear(panel, {zero, begin}, target.rowVectors);
      clear(panel, narrow, 1);
      clear(panel, {end, arguments[KeyCount]}, target.rowVectors);
      buildWeights(panel, wide, 0);
      buildWeights(panel, narrow, 1);
      buildScoreGradients(panel, wide, 0);
      buildScoreGradients(panel, narrow, 1);
      buildQueryGradient(panel, wide, narrow);
    });
    buildGradient(valueDim, arguments[Weights], arguments[GradientRows],
                  arguments[ValueGradient]);
    buildGradient(dim, arguments[ScoreGradients], arguments[QueryRows],
                  arguments[KeyGradient]);
  }

private:
  Value column(int j) { return emit.index(j * target.lanes); }
  // Returns the row of the block that is j vectors into the panel.
  Value rowOf(Value panel, int j) {
    return emit.add(emit.mul(panel, emit.index(target.panelRows())),
                    j * target.lanes);
  }
  Value range(Value panel, PanelBound bound) {
    return emit.loadScalar(arguments[Ranges], {panel, emit.index(bound)});
  }
  Value constant(int which, Value panel, int j) {
    return emit.load(arguments[RowConstants],
                     {emit.index(which), rowOf(panel, j)}, emit.floats());
  }

  // Clears weights of keys that no row of the panel's first vectors sees.
  void clear(Value panel, IndexRange keys, int vectors) {
    VectorType type =
        VectorType::get({target.lanes / words}, emit.words().getElementType());
    Value none =
        arith::ConstantOp::create(emit.builder, emit.builder.getZeroAttr(type));
    emit.loop(keys, 1, [&](Value key) {
      for (int j = 0; j < vectors; ++j)
        for (Argument matrix : {Weights, ScoreGradients})
          emit.store(none, arguments[matrix],
                     {key, emit.div(rowOf(panel, j), words)});
    });
  }

  // Multiplies rows [key, key + group) of the packed matrix by the panel's
  // vectors from `first` on.
  Values buildDotProducts(Value packed, Value panels, Value panel, Value key,
                          Value depth, int first) {
    return emit.dotProducts(
        packed, key, emit.div(depth, words), first, [&](int j, Value k) {
          return emit.load(panels, {panel, k, column(j)}, emit.words());
        });
  }

  // Fetches a few lines with each group of a panel's keys: first those of the
  // scores of all keys of the block, then those of their gradients.
  void prefetchAhead(Value panel, Argument matrix, Value key) {
    Value keysBefore =
        emit.mul(emit.mul(panel, emit.index(2)), arguments[KeyCount]);
    if (matrix == ScoreGradients)
      keysBefore = emit.add(keysBefore, arguments[KeyCount]);
    Value group = emit.div(emit.add(keysBefore, key), target.group);
    emit.prefetchShare(arguments[PairsAhead], group, arguments[PairsPerGroup]);
  }

  void buildWeights(Value panel, IndexRange keys, int first) {
    int columns = target.rowVectors - first;
    Value unmaskedBegin = range(panel, UnmaskedBegin);
    Value unmaskedEnd = range(panel, UnmaskedEnd);
    emit.loop(keys, target.group, [&](Value key) {
      prefetchAhead(panel, Weights, key);
      Values weights =
          emit.scaledScores(buildDotProducts(arguments[Keys], arguments[Query],
                                             panel, key, dim, first),
                            arguments[Scale]);
      for (auto [i, weight] : llvm::enumerate(weights)) {
        Value lse = constant(0, panel, first + i % columns);
        // No score is above the LSE of its row; if scores are so large that
        // rounding says otherwise, the weight is still at most 1.
        Value exponent = emit.subf(weight, lse);
        weight = buildExp2(emit, emit.minf(emit.splat(0), exponent));
      }
      Value unmasked =
          emit.both(emit.atMost(unmaskedBegin, key),
                    emit.atMost(emit.add(key, target.group), unmaskedEnd));
      weights = emit.ifElse(
          unmasked, ValueRange(weights).getTypes(), [&] { return weights; },
          [&] { return buildMasked(panel, key, first, weights); });
      storeByRow(panel, key, first, weights, Weights);
    });
  }

  // Stores a tile, a group of keys times the panel's vectors from `first` on,
  // to a matrix by row.
  void storeByRow(Value panel, Value key, int first, ValueRange tile,
                  Argument matrix) {
    int columns = target.rowVectors - first;
    for (int i = 0; i < target.group; i += words) {
      for (int j = 0; j < columns; ++j) {
        Value vector = tile[i * columns + j];
        if (target.pairs)
          storeTwo(panel, emit.add(key, i), first + j, vector,
                   tile[(i + 1) * columns + j], matrix);
        else
          emit.store(vector, arguments[matrix],
                     {emit.add(key, i), rowOf(panel, first + j)});
      }
    }
  }

  // Stores two keys times vector j of a panel, to the matrix in words that pair
  // rows; weights also as the panel's own f32, gradients in words that pair
  // keys.
  void storeTwo(Value panel, Value key, int j, Value a, Value b,
                Argument matrix) {
    Value rounded = emit.roundTwo(a, b);
    Value rowWord = emit.div(rowOf(panel, j), words);
    for (int i : {0, 1}) {
      emit.store(emit.pairNeighbours(rounded, i), arguments[matrix],
                 {emit.add(key, i), rowWord});
      if (matrix == Weights)
        emit.store(i == 0 ? a : b, arguments[PanelWeights],
                   {emit.add(key, i), column(j)});
    }
    if (matrix == ScoreGradients)
      emit.store(emit.pairUp(rounded), arguments[PanelScoreGradients],
                 {emit.div(key, words), column(j)});
  }

  Values buildMasked(Value panel, Value key, int first, ValueRange weights) {
    Value firstKey = arith::AddIOp::create(emit.builder, emit.toInt32(key),
                                           arguments[FirstKey]);
    return emit.selectVisible(
        weights, first, firstKey, arguments[Visible],
        [&](int j) { return rowOf(panel, j); }, emit.splat(0));
  }

  void buildScoreGradients(Value panel, IndexRange keys, int first) {
    int columns = target.rowVectors - first;
    emit.loop(keys, target.group, [&](Value key) {
      prefetchAhead(panel, ScoreGradients, key);
      Values gradients =
          buildDotProducts(arguments[ValueKeys], arguments[OutputGradient],
                           panel, key, valueDim, first);
      for (auto [i, gradient] : llvm::enumerate(gradients)) {
        int j = first + i % columns;
        Value keyRow = emit.add(key, i / columns);
        Value weight =
            target.pairs ? emit.load(arguments[PanelWeights],
                                     {keyRow, column(j)}, emit.floats())
                         : emit.load(arguments[Weights],
                                     {keyRow, rowOf(panel, j)}, emit.floats());
        gradient =
            emit.mulf(weight, emit.subf(gradient, constant(1, panel, j)));
      }
      storeByRow(panel, key, first, gradients, ScoreGradients);
    });
  }

  // Adds to dQ^T of the panel; the narrow keys add nothing to its first vector.
  void buildQueryGradient(Value panel, IndexRange wide, IndexRange narrow) {
    emit.loop({zero, dim}, target.group, [&](Value k) {
      Values sums(target.group * target.rowVectors, emit.splat(0));
      addToQueryGradient(panel, wide, k, 0, sums);
      addToQueryGradient(panel, narrow, k, 1, sums);
      Value gradient = arguments[QueryGradient];
      Values before =
          emit.loadTile(gradient, panel, k, target.group, target.rowVectors);
      for (auto [sum, old] : llvm::zip(sums, before))
        sum = emit.addf(old, sum);
      emit.storeTile(sums, gradient, panel, k, target.rowVectors);
    });
  }

  // Adds K^T dS of some keys to a group of dims, for the panel's vectors from
  // `first` on.
  void addToQueryGradient(Value panel, IndexRange keys, Value k, int first,
                          Values &sums) {
    IndexRange keyWords = {emit.div(keys.begin, words),
                           emit.div(keys.end, words)};
    Value firstWord = emit.mul(k, emit.index(target.gradientKeyBlock / words));
    emit.addProduct(
        keyWords, first, sums,
        [&](int i, Value key) {
          Value offset = emit.mul(key, emit.index(target.group));
          return emit.loadScalar(arguments[KeysByDim],
                                 emit.add(emit.add(firstWord, offset), i));
        },
        [&](int j, Value key) {
          return target.pairs ? emit.load(arguments[PanelScoreGradients],
                                          {key, column(j)}, emit.words())
                              : emit.load(arguments[ScoreGradients],
                                          {key, rowOf(panel, j)}, emit.words());
        });
  }

  // Returns the words of the rows that see any of the keys [key, key + gradient
  // group).
  IndexRange wordsOfRowsThatSee(Value key) {
    Value group = emit.div(key, target.gradientGroup);
    auto bound = [&](int which) {
      return emit.loadScalar(arguments[RowWords], {group, emit.index(which)});
    };
    return {bound(0), bound(1)};
  }

  // Builds gradient += left * rows: [key][row] times [dim / chunk][row][chunk].
  void buildGradient(Value depth, Value left, Value rows, Value gradient) {
    int chunk = target.chunk();
    Value chunks =
        emit.div(emit.add(depth, chunk - 1), chunk); // the last may be partial
    emit.loop({zero, chunks}, 1, [&](Value chunkIndex) {
      emit.loop(
          {zero, arguments[KeyCount]}, target.gradientGroup, [&](Value key) {
            IndexRange rowWords = wordsOfRowsThatSee(key);
            Values sums =
                emit.loadTile(gradient, chunkIndex, key, target.gradientGroup,
                              target.gradientVectors);
            sums = emit.product(
                rowWords, target.gradientGroup, target.gradientVectors, sums,
                [&](int i, Value row) {
                  return emit.loadScalar(left, {emit.add(key, i), row});
                },
                [&](int j, Value row) {
                  return emit.load(rows, {chunkIndex, row, column(j)},
                                   emit.words());
                });
            emit.storeTile(sums, gradient, chunkIndex, key,
                           target.gradientVectors);
          });
    });
  }

  VectorEmitter &emit;
  const KernelTarget &target;
  Block::BlockArgListType arguments;
  int words = 1;
  Value zero, dim, valueDim;
};

} // namespace

void buildBackward(ModuleOp module, const KernelShape &shape) {
  ImplicitLocOpBuilder builder(module.getLoc(), module.getBodyRegion());
  builder.setInsertionPointToEnd(module.getBody());
  VectorEmitter emit(builder, shape);
  const KernelTarget &target = emit.target();
  int64_t words = target.elementsPerWord(), rows = target.panelRows();
  int64_t panels = kBlockRows / rows, keys = target.gradientKeyBlock;
  int64_t chunk = target.chunk();
  int64_t chunks = (shape.dim + chunk - 1) / chunk;
  int64_t valueChunks = (shape.valueDim + chunk - 1) / chunk;
  Type f32 = emit.floatType(), word = emit.wordType();
  Type i32 = builder.getI32Type(), index = builder.getIndexType();
  Type types[] = {emit.memref(word, {panels, shape.dimWords(), rows}),
                  emit.memref(word, {panels, shape.valueDimWords(), rows}),
                  emit.memref(word, {chunks, kBlockRows / words, chunk}),
                  emit.memref(word, {valueChunks, kBlockRows / words, chunk}),
                  emit.memref(f32, {2, kBlockRows}),
                  emit.memref(i32, {2, kBlockRows}),
                  emit.memref(index, {panels, kBoundsPerPanel}),
                  emit.memref(index, {keys / target.gradientGroup, 2}),
                  emit.memref(word, {keys * shape.dimWords()}),
                  emit.memref(word, {keys * shape.valueDimWords()}),
                  emit.memref(word, {keys / words * shape.dim}),
                  emit.memref(f32, {panels, shape.dim, rows}),
                  emit.memref(f32, {chunks, keys, chunk}),
                  emit.memref(f32, {valueChunks, keys, chunk}),
                  emit.memref(word, {keys, kBlockRows / words}),
                  emit.memref(word, {keys, kBlockRows / words}),
                  emit.memref(f32, {keys, rows}),
                  emit.memref(word, {keys / words, rows}),
                  index,
                  index,
                  i32,
                  f32,
                  index,
                  index,
                  emit.memref(builder.getI64Type(), {kMaxPairsAhead}),
                  index};
  addKernel(emit, backwardSymbol(shape), types, [&](Block *body) {
    BackwardKernel(emit, body->getArguments()).build();
  });
}

} // namespace flashcp::codegen::x86
