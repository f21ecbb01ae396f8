// One op of a program becomes one instruction of its name, with the tiles or
// messages that it covers and the instructions that it waits for.

#include "compiler/emit/EmitInstructions.h"

#include "llvm/ADT/TypeSwitch.h"
#include <map>

using namespace mlir;

namespace flashcp {
namespace {

/// Entries [begin, end) of a table.
struct TableRange {
  uint32_t begin = 0, end = 0;
};

/// The exchange of a stage, or its relayed one.
using ExchangeKey = std::pair<uint64_t, bool>;

/// One list of instructions and their waits.
class InstructionList {
public:
  InstructionList(std::vector<fbs::Instruction> &instructions,
                  std::vector<uint32_t> &waits)
      : instructions(instructions), waits(waits) {}

  /// Adds an instruction; returns its number.
  uint32_t add(fbs::Opcode opcode, uint32_t stage, TableRange range,
               ArrayRef<uint32_t> waitsFor) {
    uint32_t firstWait = waits.size();
    waits.insert(waits.end(), waitsFor.begin(), waitsFor.end());
    bool communicates = opcode == fbs::Opcode::exchange ||
                        opcode == fbs::Opcode::resend ||
                        opcode == fbs::Opcode::exchange_gradients;
    instructions.emplace_back(
        range.begin, range.end, firstWait, waits.size(), stage, opcode,
        communicates ? fbs::Stream::communication : fbs::Stream::compute);
    return instructions.size() - 1;
  }

private:
  std::vector<fbs::Instruction> &instructions;
  std::vector<uint32_t> &waits;
};

class InstructionEmitter {
public:
  InstructionEmitter(ArrayRef<uint32_t> messageEnds, RankTables &tables)
      : messageEnds(messageEnds), forward(tables.instructions, tables.waits),
        backward(tables.backwardInstructions, tables.backwardWaits) {}

  void emit(Operation *op) {
    TypeSwitch<Operation *>(op)
        .Case<cp::ExchangeOp, cp::AttendOp>([&](auto op) { emitForward(op); })
        .Case([&](cp::BackwardOp pass) {
          for (Operation &op : pass.getBody().front())
            TypeSwitch<Operation *>(&op)
                .Case<cp::ClearGradientsOp, cp::ResendOp, cp::AttendBackwardOp,
                      cp::PackGradientsOp, cp::ExchangeGradientsOp,
                      cp::AddGradientsOp, cp::StoreGradientsOp>(
                    [&](auto op) { emitBackward(op); });
        });
  }

private:
  //===--------------------------------------------------------------------===//
  // Forward: an exchange that has only started brought nothing yet, so what
  // reads its rows waits for it. The attend of a stage comes right after what
  // brings its rows, a relayed exchange right after the one it sends on.
  //===--------------------------------------------------------------------===//

  void emitForward(cp::ExchangeOp op) {
    TableRange range = {messages, messageEnds.front()};
    messageEnds = messageEnds.drop_front();
    messages = range.end;
    messagesOf[{op.getStage(), op.getRelayed()}] = range;
    SmallVector<uint32_t, 1> waits;
    if (op.getRelayed())
      waits.push_back(last);
    last = forward.add(fbs::Opcode::exchange, op.getStage(), range, waits);
  }

  void emitForward(cp::AttendOp op) {
    TableRange range = {tiles, tiles + uint32_t(op.getTiles().size())};
    tiles = range.end;
    firstTile.push_back(range.begin);
    SmallVector<uint32_t, 1> waits;
    if (op.getStage() > 0)
      waits.push_back(last);
    last = forward.add(fbs::Opcode::attend, op.getStage(), range, waits);
  }

  //===--------------------------------------------------------------------===//
  // Backward
  //===--------------------------------------------------------------------===//

  void emitBackward(cp::ClearGradientsOp) {
    backward.add(fbs::Opcode::clear_gradients, 0, {}, {});
  }

  void emitBackward(cp::ResendOp op) {
    SmallVector<uint32_t, 1> &before = resent[op.getStage()];
    uint32_t resend =
        backward.add(fbs::Opcode::resend, op.getStage(), rangeOf(op), before);
    before.assign(1, resend); // the relayed one waits for the other
  }

  void emitBackward(cp::AttendBackwardOp op) {
    uint32_t first = firstTile[op.getStage()];
    backward.add(
        fbs::Opcode::attend_backward, op.getStage(),
        {uint32_t(first + op.getBegin()), uint32_t(first + op.getEnd())},
        resent[op.getStage()]);
  }

  void emitBackward(cp::PackGradientsOp op) {
    packed[keyOf(op)] = backward.add(fbs::Opcode::pack_gradients, op.getStage(),
                                     rangeOf(op), {});
  }

  void emitBackward(cp::ExchangeGradientsOp op) {
    exchanged[keyOf(op)] =
        backward.add(fbs::Opcode::exchange_gradients, op.getStage(),
                     rangeOf(op), {packed[keyOf(op)]});
  }

  void emitBackward(cp::AddGradientsOp op) {
    backward.add(fbs::Opcode::add_gradients, op.getStage(), rangeOf(op),
                 {exchanged[keyOf(op)]});
  }

  void emitBackward(cp::StoreGradientsOp) {
    backward.add(fbs::Opcode::store_gradients, 0, {}, {});
  }

  template <typename Op> static ExchangeKey keyOf(Op op) {
    return {op.getStage(), op.getRelayed()};
  }
  template <typename Op> TableRange rangeOf(Op op) {
    return messagesOf[keyOf(op)];
  }

  ArrayRef<uint32_t> messageEnds;
  InstructionList forward, backward;
  uint32_t messages = 0, tiles = 0, last = 0; // so far in forward
  SmallVector<uint32_t> firstTile;            // by stage
  std::map<ExchangeKey, TableRange> messagesOf;
  // Instructions of backward so far:
  std::map<uint64_t, SmallVector<uint32_t, 1>> resent; // by stage
  std::map<ExchangeKey, uint32_t> packed, exchanged;
};

} // namespace

void emitInstructions(cp::ProgramOp program, ArrayRef<uint32_t> messageEnds,
                      RankTables &tables) {
  InstructionEmitter emitter(messageEnds, tables);
  for (Operation &op : program.getBody().front())
    emitter.emit(&op);
}

} // namespace flashcp
