// The forward kernel: one panel of queries against keys [begin, end) of a run,
// block by block with the online softmax of FlashAttention.
//
// For each block: scores S = K Q^T, scaled and masked, and their maximum per
// row; weights P = 2^(S - maximum); sums l and outputs O^T, both rescaled by
// 2^(old maximum - maximum), grow by the sum of P and by V^T P. The caller
// divides O by l. The keys that rows see end later with each row: from some key
// on no row of the panel's first vector sees any, and it takes no part.

#include "codegen/x86/Exp2.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <limits>

using namespace mlir;

namespace flashcp::codegen::x86 {

static constexpr float infinity = std::numeric_limits<float>::infinity();

std::string forwardSymbol(const KernelShape &shape) {
  return "flashcp_forward_" + shape.name();
}

namespace {

// The arguments, in order. Packed keys are [run / group][dim][group] words,
// packed values [value dim / group][run][group].
enum Argument {
  Query,        // [dim][row] words; f32: times Scale
  PackedKeys,   // see above
  PackedValues, // see above
  Output,       // [value dim][row]: O^T, not divided by the sums
  State,   // [2][row]: maxima of the scaled scores, in units of log 2; sums
  Scores,  // [key block][row], scratch
  Weights, // [key block][row] words, scratch; not used without pairs
  Visible, // [2][row]: first key that a row sees, and the one after its last
  Begin,   // keys of the run that any row sees, multiples of the group
  End,
  NarrowBegin,   // from this key on, a multiple of the group, rows of the first
                 // vector see none
  UnmaskedBegin, // keys of the run that all rows see
  UnmaskedEnd,
  FirstKey, // the key that is the first one of the run, as `Visible` counts
  Scale,    // of scores, times log2(e)
  Dim,      // used by the kernel for any dim
  ValueDim,
  PairsAhead,    // addresses of pairs of lines that are needed next
  PairsPerGroup, // of them, fetched with each group of keys
};

class ForwardKernel {
public:
  ForwardKernel(VectorEmitter &emit, Block::BlockArgListType arguments)
      : emit(emit), target(emit.target()), arguments(arguments) {}

  void build() {
    const KernelShape &shape = emit.shape();
    int words = target.elementsPerWord();
    dimWords = shape.anyDim ? emit.div(arguments[Dim], words)
                            : emit.index(shape.dimWords());
    valueDim =
        shape.anyDim ? Value(arguments[ValueDim]) : emit.index(shape.valueDim);
    zero = emit.index(0);
    emit.loop({arguments[Begin], arguments[End]}, target.keyBlock,
              [&](Value block) { buildBlock(block); });
  }

private:
  Value column(int j) { return emit.index(j * target.lanes); }
  Value row(int row, int j) {
    return emit.load(arguments[State], {emit.index(row), column(j)},
                     emit.floats());
  }

  void buildBlock(Value block) {
    Value blockEnd =
        emit.minimum(emit.add(block, target.keyBlock), arguments[End]);
    Value wideEnd =
        emit.minimum(emit.maximum(arguments[NarrowBegin], block), blockEnd);
    Values oldMaxima;
    for (int j = 0; j < target.rowVectors; ++j)
      oldMaxima.push_back(row(0, j));
    Values maxima = buildScores(block, {block, wideEnd}, 0, oldMaxima);
    maxima = buildScores(block, {wideEnd, blockEnd}, 1, maxima);
    Values shifts, rescales;
    for (int j = 0; j < target.rowVectors; ++j) {
      emit.store(maxima[j], arguments[State], {zero, column(j)});
      // If all scores are -inf, subtracting 0 leaves them so.
      Value none =
          arith::CmpFOp::create(emit.builder, arith::CmpFPredicate::OEQ,
                                maxima[j], emit.splat(-infinity));
      shifts.push_back(emit.select(none, emit.splat(0), maxima[j]));
      rescales.push_back(buildExp2(emit, emit.subf(oldMaxima[j], shifts[j])));
    }
    Value wide = emit.sub(wideEnd, block), all = emit.sub(blockEnd, block);
    for (int j = 0; j < target.rowVectors; ++j)
      buildWeights(j, j == 0 ? wide : all, shifts[j], rescales[j]);
    buildOutput(block, wide, all, rescales);
  }

  // Stores the scores of some keys of the block, of the panel's vectors from
  // `first` on; returns the maxima that include them.
  Values buildScores(Value block, IndexRange keys, int first,
                     ValueRange oldMaxima) {
    int columns = target.rowVectors - first;
    Values maxima(oldMaxima.take_front(first));
    maxima.append(
        emit.loop(keys, target.group, oldMaxima.drop_front(first),
                  [&](Value key, ValueRange carried) {
                    prefetchAhead(key);
                    Values scores = buildDotProducts(key, first);
                    scores = buildMasked(key, first, scores);
                    Values maxima(carried);
                    Value offset = emit.sub(key, block);
                    for (int i = 0; i < target.group; ++i) {
                      for (int j = 0; j < columns; ++j) {
                        Value score = scores[i * columns + j];
                        emit.store(score, arguments[Scores],
                                   {emit.add(offset, i), column(first + j)});
                        maxima[j] = emit.maxf(score, maxima[j]); // skips NaN
                      }
                    }
                    return maxima;
                  }));
    return maxima;
  }

  // Fetches a few lines with each group: spread over the call they do not wait.
  void prefetchAhead(Value key) {
    Value group = emit.div(emit.sub(key, arguments[Begin]), target.group);
    emit.prefetchShare(arguments[PairsAhead], group, arguments[PairsPerGroup]);
  }

  // Returns K Q^T, scaled, of one group of keys.
  Values buildDotProducts(Value key, int first) {
    Values products = emit.dotProducts(
        arguments[PackedKeys], key, dimWords, first, [&](int j, Value k) {
          return emit.load(arguments[Query], {k, column(j)}, emit.words());
        });
    return emit.scaledScores(products, arguments[Scale]);
  }

  // Replaces scores by -inf if the row does not see the key.
  Values buildMasked(Value key, int first, ValueRange scores) {
    Value unmasked = emit.both(
        emit.atMost(arguments[UnmaskedBegin], key),
        emit.atMost(emit.add(key, target.group), arguments[UnmaskedEnd]));
    return emit.ifElse(
        unmasked, scores.getTypes(), [&] { return Values(scores); },
        [&] { return buildVisible(key, first, scores); });
  }

  Values buildVisible(Value key, int first, ValueRange scores) {
    Value firstKey = arith::AddIOp::create(emit.builder, emit.toInt32(key),
                                           arguments[FirstKey]);
    return emit.selectVisible(
        scores, first, firstKey, arguments[Visible],
        [&](int j) { return column(j); }, emit.splat(-infinity));
  }

  // Turns scores of vector j of the panel into weights, and adds these to the
  // sums. A loop for each vector: all of them and the constants of 2^x are more
  // registers than AVX2 has.
  void buildWeights(int j, Value count, Value shift, Value rescale) {
    Values sum = emit.loop(
        {zero, count}, 2, emit.splat(0), [&](Value key, ValueRange carried) {
          Value weights[2];
          for (int i = 0; i < 2; ++i) {
            Value place[] = {emit.add(key, i), column(j)};
            Value score = emit.load(arguments[Scores], place, emit.floats());
            weights[i] = buildExp2(emit, emit.subf(score, shift));
            if (!target.pairs)
              emit.store(weights[i], arguments[Scores], place);
          }
          if (target.pairs)
            emit.store(emit.pairUp(emit.roundTwo(weights[0], weights[1])),
                       arguments[Weights], {emit.div(key, 2), column(j)});
          return Values{
              emit.addf(carried[0], emit.addf(weights[0], weights[1]))};
        });
    Value scaled = emit.mulf(row(1, j), rescale);
    emit.store(emit.addf(scaled, sum[0]), arguments[State],
               {emit.index(1), column(j)});
  }

  // Builds O^T = rescale * O^T + V^T P, the product of a block summed by
  // itself: small numbers added one by one to a large sum would lose bits. Keys
  // of the block from `wide` on add nothing to the first vector of the panel.
  void buildOutput(Value block, Value wide, Value all, ValueRange rescales) {
    int words = target.elementsPerWord();
    emit.loop({zero, valueDim}, target.group, [&](Value dim) {
      Value output = arguments[Output];
      Values sums(target.group * target.rowVectors, emit.splat(0));
      addWeighted(block, {zero, emit.div(wide, words)}, dim, 0, sums);
      addWeighted(block, {emit.div(wide, words), emit.div(all, words)}, dim, 1,
                  sums);
      Values outputs =
          emit.loadTile(output, {}, dim, target.group, target.rowVectors);
      for (auto [i, sum] : llvm::enumerate(sums))
        sum = emit.fma(outputs[i], rescales[i % target.rowVectors], sum);
      emit.storeTile(sums, output, {}, dim, target.rowVectors);
    });
  }

  // Adds V^T P of some words of keys of the block to a group of dims, for the
  // panel's vectors from `first` on.
  void addWeighted(Value block, IndexRange keyWords, Value dim, int first,
                   Values &sums) {
    int words = target.elementsPerWord();
    Value firstWord = emit.div(block, words);
    Value values = emit.mul(dim, emit.index(kRunKeys / words));
    Value weights = target.pairs ? arguments[Weights] : arguments[Scores];
    emit.addProduct(
        keyWords, first, sums,
        [&](int i, Value word) {
          Value offset =
              emit.mul(emit.add(firstWord, word), emit.index(target.group));
          return emit.loadScalar(arguments[PackedValues],
                                 emit.add(emit.add(values, offset), i));
        },
        [&](int j, Value word) {
          return emit.load(weights, {word, column(j)}, emit.words());
        });
  }

  VectorEmitter &emit;
  const KernelTarget &target;
  Block::BlockArgListType arguments;
  Value zero, dimWords, valueDim;
};

} // namespace

void buildForward(ModuleOp module, const KernelShape &shape) {
  ImplicitLocOpBuilder builder(module.getLoc(), module.getBodyRegion());
  builder.setInsertionPointToEnd(module.getBody());
  VectorEmitter emit(builder, shape);
  const KernelTarget &target = emit.target();
  int64_t rows = target.panelRows();
  int64_t words = target.elementsPerWord();
  Type f32 = emit.floatType(), word = emit.wordType();
  Type i32 = builder.getI32Type(), index = builder.getIndexType();
  Type types[] = {emit.memref(word, {shape.dimWords(), rows}),
                  emit.memref(word, {kRunKeys * shape.dimWords()}),
                  emit.memref(word, {kRunKeys / words * shape.valueDim}),
                  emit.memref(f32, {shape.valueDim, rows}),
                  emit.memref(f32, {2, rows}),
                  emit.memref(f32, {target.keyBlock, rows}),
                  emit.memref(word, {target.keyBlock / words, rows}),
                  emit.memref(i32, {2, rows}),
                  index,
                  index,
                  index,
                  index,
                  index,
                  i32,
                  f32,
                  index,
                  index,
                  emit.memref(builder.getI64Type(), {kMaxPairsAhead}),
                  index};
  addKernel(emit, forwardSymbol(shape), types, [&](Block *body) {
    ForwardKernel(emit, body->getArguments()).build();
  });
}

} // namespace flashcp::codegen::x86
