// The forward kernel: one panel of queries against keys [begin, end) of a run,
// block by block with the online softmax of FlashAttention.
//
// For each block: scores S = K Q^T, scaled and masked, and their maximum per
// row; weights P = 2^(S - maximum); sums l and outputs O^T, both rescaled by
// 2^(old maximum - maximum), grow by the sum of P and by V^T P. The caller
// divides O by l.

#include "compiler/codegen/Emitter.h"
#include "compiler/codegen/Exp2.h"
#include "compiler/codegen/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <limits>

using namespace mlir;

namespace flashcp::codegen {

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
  UnmaskedBegin, // keys of the run that all rows see
  UnmaskedEnd,
  FirstKey, // the key that is the first one of the run, as `Visible` counts
  Scale,    // of scores, times log2(e)
  Dim,      // used by the kernel for any dim
  ValueDim,
  LinesAhead,    // addresses of what is needed next
  LinesPerGroup, // of them, fetched with each group of keys
};

class ForwardKernel {
public:
  ForwardKernel(Emitter &emit, Block::BlockArgListType arguments)
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
    Values oldMaxima;
    for (int j = 0; j < target.rowVectors; ++j)
      oldMaxima.push_back(row(0, j));
    Values maxima = buildScores(block, blockEnd, oldMaxima);
    Values shifts, rescales;
    for (int j = 0; j < target.rowVectors; ++j) {
      emit.store(maxima[j], arguments[State], {zero, column(j)});
      // Where all scores are -inf, subtracting 0 leaves them so.
      Value none =
          arith::CmpFOp::create(emit.builder, arith::CmpFPredicate::OEQ,
                                maxima[j], emit.splat(-infinity));
      shifts.push_back(emit.select(none, emit.splat(0), maxima[j]));
      rescales.push_back(buildExp2(emit, emit.subf(oldMaxima[j], shifts[j])));
    }
    Value count = emit.sub(blockEnd, block);
    buildWeights(count, shifts, rescales);
    buildOutput(block, count, rescales);
  }

  // Stores the scores of the block; returns the maxima that include them.
  Values buildScores(Value block, Value blockEnd, ValueRange oldMaxima) {
    Value scale = emit.broadcast(arguments[Scale], emit.floats());
    return emit.loop({block, blockEnd}, target.group, oldMaxima,
                     [&](Value key, ValueRange carried) {
                       fetchAhead(key);
                       Values sums = buildDotProducts(key);
                       if (target.pairs) // f32 queries are scaled already
                         for (Value &sum : sums)
                           sum = emit.mulf(sum, scale);
                       Value unmasked =
                           emit.both(emit.atMost(arguments[UnmaskedBegin], key),
                                     emit.atMost(emit.add(key, target.group),
                                                 arguments[UnmaskedEnd]));
                       Values scores = emit.ifElse(
                           unmasked, sums.size(), [&] { return sums; },
                           [&] { return buildMasked(key, sums); });
                       Values maxima(carried);
                       Value offset = emit.sub(key, block);
                       for (int i = 0; i < target.group; ++i) {
                         for (int j = 0; j < target.rowVectors; ++j) {
                           Value score = scores[i * target.rowVectors + j];
                           emit.store(score, arguments[Scores],
                                      {emit.add(offset, i), column(j)});
                           maxima[j] = emit.maxf(score, maxima[j]); // skips NaN
                         }
                       }
                       return maxima;
                     });
  }

  // Spread over the call, fetching waits for no one.
  void fetchAhead(Value key) {
    Value group = emit.div(emit.sub(key, arguments[Begin]), target.group);
    Value first = emit.mul(group, arguments[LinesPerGroup]);
    emit.loop({first, emit.add(first, arguments[LinesPerGroup])}, 1,
              [&](Value line) {
                emit.fetch(emit.loadScalar(arguments[LinesAhead], line));
              });
  }

  // K Q^T of one group of keys.
  Values buildDotProducts(Value key) {
    Value keys = emit.mul(key, dimWords);
    Values zeros(target.group * target.rowVectors, emit.splat(0));
    return emit.product(
        {zero, dimWords}, target.group, target.rowVectors, zeros,
        [&](int i, Value k) {
          Value word = emit.mul(k, emit.index(target.group));
          return emit.loadScalar(arguments[PackedKeys],
                                 emit.add(emit.add(keys, word), i));
        },
        [&](int j, Value k) {
          return emit.load(arguments[Query], {k, column(j)}, emit.words());
        });
  }

  Values buildMasked(Value key, ValueRange scores) {
    Value first = arith::AddIOp::create(emit.builder, emit.toInt32(key),
                                        arguments[FirstKey]);
    Values masked;
    for (int i = 0; i < target.group; ++i) {
      Value keys = arith::AddIOp::create(
          emit.builder, emit.broadcast(first, emit.ints()), emit.splatInt(i));
      for (int j = 0; j < target.rowVectors; ++j) {
        Value begin =
            emit.load(arguments[Visible], {zero, column(j)}, emit.ints());
        Value end = emit.load(arguments[Visible], {emit.index(1), column(j)},
                              emit.ints());
        masked.push_back(emit.select(emit.within(keys, begin, end),
                                     scores[i * target.rowVectors + j],
                                     emit.splat(-infinity)));
      }
    }
    return masked;
  }

  // Turns scores into weights, and adds those to the sums. A loop for each
  // vector of rows: all of them and the constants of 2^x are more registers
  // than AVX2 has.
  void buildWeights(Value count, ValueRange shifts, ValueRange rescales) {
    for (int j = 0; j < target.rowVectors; ++j) {
      Values sum = emit.loop(
          {zero, count}, 2, emit.splat(0), [&](Value key, ValueRange carried) {
            Value weights[2];
            for (int i = 0; i < 2; ++i) {
              Value place[] = {emit.add(key, i), column(j)};
              Value score = emit.load(arguments[Scores], place, emit.floats());
              weights[i] = buildExp2(emit, emit.subf(score, shifts[j]));
              if (!target.pairs)
                emit.store(weights[i], arguments[Scores], place);
            }
            if (target.pairs)
              emit.store(emit.pairUp(emit.roundTwo(weights[0], weights[1])),
                         arguments[Weights], {emit.div(key, 2), column(j)});
            return Values{
                emit.addf(carried[0], emit.addf(weights[0], weights[1]))};
          });
      Value scaled = emit.mulf(row(1, j), rescales[j]);
      emit.store(emit.addf(scaled, sum[0]), arguments[State],
                 {emit.index(1), column(j)});
    }
  }

  // O^T = rescale * O^T + V^T P.
  void buildOutput(Value block, Value count, ValueRange rescales) {
    int words = target.elementsPerWord();
    Value firstWord = emit.div(block, words);
    emit.loop({zero, valueDim}, target.group, [&](Value dim) {
      Values sums;
      for (int i = 0; i < target.group; ++i)
        for (int j = 0; j < target.rowVectors; ++j)
          sums.push_back(
              emit.mulf(emit.load(arguments[Output],
                                  {emit.add(dim, i), column(j)}, emit.floats()),
                        rescales[j]));
      Value values = emit.mul(dim, emit.index(kRunKeys / words));
      Value weights = target.pairs ? arguments[Weights] : arguments[Scores];
      sums = emit.product(
          {zero, emit.div(count, words)}, target.group, target.rowVectors, sums,
          [&](int i, Value word) {
            Value offset =
                emit.mul(emit.add(firstWord, word), emit.index(target.group));
            return emit.loadScalar(arguments[PackedValues],
                                   emit.add(emit.add(values, offset), i));
          },
          [&](int j, Value word) {
            return emit.load(weights, {word, column(j)}, emit.words());
          });
      for (int i = 0; i < target.group; ++i)
        for (int j = 0; j < target.rowVectors; ++j)
          emit.store(sums[i * target.rowVectors + j], arguments[Output],
                     {emit.add(dim, i), column(j)});
    });
  }

  Emitter &emit;
  const KernelTarget &target;
  Block::BlockArgListType arguments;
  Value zero, dimWords, valueDim;
};

} // namespace

void buildForward(ModuleOp module, const KernelShape &shape) {
  ImplicitLocOpBuilder builder(module.getLoc(), module.getBodyRegion());
  builder.setInsertionPointToEnd(module.getBody());
  Emitter emit(builder, shape);
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
                  i32,
                  f32,
                  index,
                  index,
                  emit.memref(builder.getI64Type(), {kMaxLinesAhead}),
                  index};
  addKernel(emit, forwardSymbol(shape), types, [&](Block *body) {
    ForwardKernel(emit, body->getArguments()).build();
  });
}

} // namespace flashcp::codegen
