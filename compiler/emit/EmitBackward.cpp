// Each op of a cp.backward becomes one or two instructions, over the tiles and
// messages of the forward instruction that it mirrors.

#include "compiler/emit/EmitBackward.h"

#include "compiler/analysis/RemoteStages.h"

using namespace mlir;

namespace flashcp {
namespace {

class BackwardEmitter {
public:
  explicit BackwardEmitter(RankTables &tables) : tables(tables) {
    for (const fbs::Instruction &instruction : tables.instructions)
      if (instruction.opcode() == fbs::Opcode::attend)
        tiles.push_back(instruction.begin());
      else
        exchanges[instruction.stage()].push_back(
            {instruction.begin(), instruction.end()});
  }

  void emit(cp::BackwardOp backward) {
    add(fbs::Opcode::clear_gradients, 0, {0, 0}, {});
    for (Operation &op : backward.getBody().front())
      if (auto resend = dyn_cast<cp::ResendOp>(op))
        emitResend(resend);
      else if (auto differentiate = dyn_cast<cp::AttendBackwardOp>(op))
        emitDifferentiate(differentiate);
      else if (auto returned = dyn_cast<cp::ExchangeGradientsOp>(op))
        emitReturn(returned);
      else if (auto collect = dyn_cast<cp::AddGradientsOp>(op))
        emitCollect(collect);
    add(fbs::Opcode::store_gradients, 0, {0, 0}, {});
  }

private:
  /// [first, second) of a table.
  using Range = std::pair<uint32_t, uint32_t>;
  /// A stage, and whether its exchange or its forward.
  using Mirrored = std::pair<uint32_t, bool>;

  uint32_t add(fbs::Opcode opcode, uint32_t stage, Range range,
               ArrayRef<uint32_t> waits) {
    uint32_t firstWait = tables.backwardWaits.size();
    tables.backwardWaits.insert(tables.backwardWaits.end(), waits.begin(),
                                waits.end());
    bool communicates = opcode == fbs::Opcode::resend ||
                        opcode == fbs::Opcode::exchange_gradients;
    tables.backwardInstructions.emplace_back(
        range.first, range.second, firstWait, tables.backwardWaits.size(),
        stage, opcode,
        communicates ? fbs::Stream::communication : fbs::Stream::compute);
    return tables.backwardInstructions.size() - 1;
  }

  Range messagesOf(uint32_t stage, bool relayed) {
    return exchanges[stage][relayed ? 1 : 0];
  }

  /// Instructions so far that bring K/V rows of a stage.
  void emitResend(cp::ResendOp op) {
    SmallVector<uint32_t> &before = resent[op.getStage()];
    uint32_t exchange = add(fbs::Opcode::resend, op.getStage(),
                            messagesOf(op.getStage(), op.getRelayed()), before);
    before.assign(1, exchange); // a forward waits for its exchange
  }

  void emitDifferentiate(cp::AttendBackwardOp op) {
    uint32_t first = tiles[op.getStage()];
    add(fbs::Opcode::attend_backward, op.getStage(),
        {first + op.getBegin(), first + op.getEnd()}, resent[op.getStage()]);
  }

  void emitReturn(cp::ExchangeGradientsOp op) {
    Range messages = messagesOf(op.getStage(), op.getRelayed());
    uint32_t pack =
        add(fbs::Opcode::pack_gradients, op.getStage(), messages, {});
    returned[{op.getStage(), op.getRelayed()}] =
        add(fbs::Opcode::exchange_gradients, op.getStage(), messages, {pack});
  }

  void emitCollect(cp::AddGradientsOp op) {
    add(fbs::Opcode::add_gradients, op.getStage(),
        messagesOf(op.getStage(), op.getRelayed()),
        {returned[{op.getStage(), op.getRelayed()}]});
  }

  RankTables &tables;
  SmallVector<uint32_t> tiles;                      // first of each stage
  std::map<uint32_t, SmallVector<Range>> exchanges; // messages, by stage
  std::map<uint32_t, SmallVector<uint32_t>> resent; // by stage
  std::map<Mirrored, uint32_t> returned;
};

} // namespace

void emitBackward(cp::ProgramOp program, RankTables &tables) {
  BackwardEmitter emitter(tables);
  for (auto backward : program.getBody().getOps<cp::BackwardOp>())
    emitter.emit(backward);
}

} // namespace flashcp
