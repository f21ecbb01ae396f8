// One op of a program becomes one instruction of its name, with the tiles or
// messages that it covers and the instructions that it waits for: those whose
// results it takes, and those that must have left the place it fills.

#include "compiler/emit/EmitInstructions.h"

#include "compiler/analysis/RemoteStages.h"
#include "compiler/solver/row_stage.h"

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

/// One list of instructions and what they wait for, written at the end: a wait
/// across rounds names an instruction that comes later in the list.
class InstructionList {
public:
  /// Adds an instruction; returns its number.
  uint32_t add(fbs::Opcode opcode, uint32_t stage, TableRange range,
               ArrayRef<uint32_t> waitsFor) {
    bool communicates = opcode == fbs::Opcode::exchange ||
                        opcode == fbs::Opcode::resend ||
                        opcode == fbs::Opcode::exchange_gradients;
    instructions.emplace_back(
        range.begin, range.end, /*wait_begin=*/0, /*wait_end=*/0, stage, opcode,
        communicates ? fbs::Stream::communication : fbs::Stream::compute);
    waits.emplace_back();
    for (uint32_t instruction : waitsFor)
      wait(instructions.size() - 1, instruction, /*rounds=*/0);
    return instructions.size() - 1;
  }

  /// Lets an instruction wait for another one of some rounds before.
  void wait(uint32_t instruction, uint32_t other, uint32_t rounds) {
    waits[instruction].emplace_back(other, rounds);
  }

  void write(std::vector<fbs::Instruction> &toInstructions,
             std::vector<fbs::Wait> &toWaits) {
    for (auto [instruction, ofInstruction] : llvm::zip(instructions, waits)) {
      instruction.mutate_wait_begin(toWaits.size());
      toWaits.insert(toWaits.end(), ofInstruction.begin(), ofInstruction.end());
      instruction.mutate_wait_end(toWaits.size());
    }
    toInstructions = std::move(instructions);
  }

private:
  std::vector<fbs::Instruction> instructions;
  std::vector<SmallVector<fbs::Wait, 2>> waits;
};

/// The stage whose rows were in a place before: of the same round, or of some
/// rounds before.
struct Holder {
  int64_t stage = 0; // 0: nobody
  int64_t rounds = 0;
};

class InstructionEmitter {
public:
  InstructionEmitter(cp::ProgramOp program, ArrayRef<uint32_t> messageEnds)
      : messageEnds(messageEnds), groups(program.getHeadGroups()),
        numStages(remoteStagesOf(program).size()) {
    for (auto buffer : program.getBody().getOps<cp::BufferOp>()) {
      places = std::max<int64_t>(places, buffer.getPlaces());
      saves |= buffer.getKind() == cp::BufferKind::outgoing_key;
    }
  }

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

  /// Adds the waits for places and writes all.
  void write(RankTables &tables) {
    for (auto [stage, exchange] : startsOf)
      waitFor(forward, exchange, rowsBefore(stage, places), attendOf);
    for (auto [stage, resend] : resendOf)
      for (auto &ofHop : exchanged)
        waitFor(backward, resend, rowsBefore(stage, places), ofHop);
    for (auto &ofHop : packed)
      for (auto [stage, pack] : ofHop)
        for (auto &returned : exchanged)
          if (saves)
            waitFor(backward, pack, rowsBefore(stage, /*places=*/1), returned);
    for (bool relayed : {false, true})
      for (auto [stage, exchange] : exchanged[relayed])
        waitFor(backward, exchange, incomingBefore(stage), added[relayed]);
    forward.write(tables.instructions, tables.waits);
    backward.write(tables.backwardInstructions, tables.backwardWaits);
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
    startsOf.try_emplace(op.getStage(), last);
  }

  void emitForward(cp::AttendOp op) {
    TableRange range = {tiles, tiles + uint32_t(op.getTiles().size())};
    tiles = range.end;
    attends[op.getStage()].push_back(range);
    SmallVector<uint32_t, 1> waits;
    if (op.getStage() > 0)
      waits.push_back(last);
    last = forward.add(fbs::Opcode::attend, op.getStage(), range, waits);
    attendOf[op.getStage()] = last;
  }

  //===--------------------------------------------------------------------===//
  // Backward
  //===--------------------------------------------------------------------===//

  void emitBackward(cp::ClearGradientsOp op) {
    TableRange range;
    if (op.getStage() > 0) {
      range = messagesOf[{op.getStage(), false}];
      auto relayed = messagesOf.find({op.getStage(), true});
      if (relayed != messagesOf.end())
        range.end = relayed->second.end;
    }
    backward.add(fbs::Opcode::clear_gradients, op.getStage(), range, {});
  }

  void emitBackward(cp::ResendOp op) {
    SmallVector<uint32_t, 1> &before = resent[op.getStage()];
    uint32_t resend =
        backward.add(fbs::Opcode::resend, op.getStage(), rangeOf(op), before);
    before.assign(1, resend); // the relayed one waits for the other
    resendOf.try_emplace(op.getStage(), resend);
  }

  void emitBackward(cp::AttendBackwardOp op) {
    uint32_t first = tableTile(op.getStage(), op.getBegin());
    backward.add(fbs::Opcode::attend_backward, op.getStage(),
                 {first, uint32_t(first + op.getEnd() - op.getBegin())},
                 resent[op.getStage()]);
  }

  /// Returns the place in the table of a tile of a stage, which may have
  /// several attends.
  uint32_t tableTile(uint64_t stage, uint32_t tile) {
    for (TableRange range : attends[stage]) {
      if (tile < range.end - range.begin)
        return range.begin + tile;
      tile -= range.end - range.begin;
    }
    llvm_unreachable("C33: the stage has all tiles of its launches");
  }

  void emitBackward(cp::PackGradientsOp op) {
    // Gradients replace the rows, which must have come and been sent on.
    packed[op.getRelayed()][op.getStage()] =
        backward.add(fbs::Opcode::pack_gradients, op.getStage(), rangeOf(op),
                     resent[op.getStage()]);
  }

  void emitBackward(cp::ExchangeGradientsOp op) {
    exchanged[op.getRelayed()][op.getStage()] =
        backward.add(fbs::Opcode::exchange_gradients, op.getStage(),
                     rangeOf(op), {packed[op.getRelayed()][op.getStage()]});
  }

  void emitBackward(cp::AddGradientsOp op) {
    added[op.getRelayed()][op.getStage()] =
        backward.add(fbs::Opcode::add_gradients, op.getStage(), rangeOf(op),
                     {exchanged[op.getRelayed()][op.getStage()]});
  }

  void emitBackward(cp::StoreGradientsOp) {
    backward.add(fbs::Opcode::store_gradients, 0, {}, {});
  }

  //===--------------------------------------------------------------------===//
  // Places in turn: who fills a place waits for the last use of the stage that
  // held it before. Rows of stages without any are waited for all the same, so
  // that each wait stands for all before it.
  //===--------------------------------------------------------------------===//

  Holder rowsBefore(int64_t stage, int64_t places) const {
    int64_t before = stage - solver::kKeyValueSlots;
    if (before > 0)
      return {before, 0};
    int64_t last = stage;
    while (last + solver::kKeyValueSlots <= numStages)
      last += solver::kKeyValueSlots;
    return {last, places};
  }

  Holder incomingBefore(int64_t stage) const {
    return stage > 1 ? Holder{stage - 1, 0} : Holder{numStages, 1};
  }

  void waitFor(InstructionList &list, uint32_t instruction, Holder holder,
               const std::map<uint64_t, uint32_t> &lastUse) {
    auto use = lastUse.find(holder.stage);
    if (use != lastUse.end() && holder.rounds < groups)
      list.wait(instruction, use->second, holder.rounds);
  }

  template <typename Op> static ExchangeKey keyOf(Op op) {
    return {op.getStage(), op.getRelayed()};
  }
  template <typename Op> TableRange rangeOf(Op op) {
    return messagesOf[keyOf(op)];
  }

  ArrayRef<uint32_t> messageEnds;
  const int64_t groups, numStages;
  int64_t places = 1; // of received rows
  bool saves = false; // gradients of saved rows have places of their own
  InstructionList forward, backward;
  uint32_t messages = 0, tiles = 0, last = 0;             // so far in forward
  std::map<uint64_t, SmallVector<TableRange, 1>> attends; // tiles, by stage
  std::map<ExchangeKey, TableRange> messagesOf;
  std::map<uint64_t, uint32_t> startsOf, attendOf; // of forward, by stage
  // Instructions of backward so far:
  std::map<uint64_t, SmallVector<uint32_t, 1>> resent; // by stage
  std::map<uint64_t, uint32_t> resendOf;               // first, by stage
  std::map<uint64_t, uint32_t> packed[2], exchanged[2],
      added[2]; // by hop, stage
};

} // namespace

void emitInstructions(cp::ProgramOp program, ArrayRef<uint32_t> messageEnds,
                      RankTables &tables) {
  InstructionEmitter emitter(program, messageEnds);
  for (Operation &op : program.getBody().front())
    emitter.emit(&op);
  emitter.write(tables);
}

} // namespace flashcp
