// One walk along the ops, with what has happened to each stage so far.

#include "compiler/analysis/BackwardOrder.h"

#include "compiler/analysis/RemoteStages.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace flashcp {
namespace {

/// The ops so far over the messages of one exchange of a stage.
struct Messages {
  Operation *resent = nullptr, *packed = nullptr, *exchanged = nullptr,
            *added = nullptr;
};

struct StageState {
  Messages direct, relayed;
  Operation *cleared = nullptr;
  SmallVector<size_t, 1> attendEnds; // tiles up to that of each cp.attend
  SmallVector<cp::AttendBackwardOp> attends;

  Messages &of(bool isRelayed) { return isRelayed ? relayed : direct; }
  size_t numTiles() const { return attendEnds.empty() ? 0 : attendEnds.back(); }
};

/// Reports an error of C33, with a note at the op that it is about.
LogicalResult error(Operation *op, const Twine &requirement,
                    Operation *other = nullptr) {
  InFlightDiagnostic diagnostic = op->emitOpError()
                                  << "C33: " << requirement.str();
  if (other)
    diagnostic.attachNote(other->getLoc()) << "the other op is here";
  return diagnostic;
}

class Walk {
public:
  Walk(cp::ProgramOp program, bool resends) : resends(resends) {
    for (auto attend : program.getBody().getOps<cp::AttendOp>()) {
      stages.resize(std::max<size_t>(stages.size(), attend.getStage() + 1));
      StageState &stage = stages[attend.getStage()];
      stage.attendEnds.push_back(stage.numTiles() + attend.getTiles().size());
    }
    SmallVector<RemoteStage> remote = remoteStagesOf(program);
    relays = !remote.empty() && remote.front().relayed;
  }

  LogicalResult run(cp::BackwardOp backward) {
    Block &body = backward.getBody().front();
    auto clear = body.empty() ? cp::ClearGradientsOp()
                              : dyn_cast<cp::ClearGradientsOp>(body.front());
    if (!clear || clear.getStage() != 0 ||
        !isa<cp::StoreGradientsOp>(body.back()))
      return error(backward, "must begin with cp.clear_gradients of stage 0 "
                             "and end with cp.store_gradients");
    for (Operation &op : body)
      if (failed(step(op)))
        return failure();
    for (auto [number, stage] : llvm::enumerate(stages))
      if (failed(verifyDone(backward, number, stage)))
        return failure();
    return success();
  }

private:
  LogicalResult step(Operation &op) {
    return TypeSwitch<Operation *, LogicalResult>(&op)
        .Case([](cp::StoreGradientsOp op) {
          return op->getNextNode() ? error(op, "must come once") : success();
        })
        .Case([&](cp::ClearGradientsOp clear) { return stepClear(clear); })
        .Case([&](cp::AttendBackwardOp attend) { return stepTiles(attend); })
        .Case<cp::ResendOp, cp::PackGradientsOp, cp::ExchangeGradientsOp,
              cp::AddGradientsOp>([&](auto op) {
          bool known =
              op.getStage() < stages.size() && (relays || !op.getRelayed());
          return known ? stepMessages(op, stages[op.getStage()])
                       : error(op, "the program has no such exchange");
        })
        .Default([](Operation *op) {
          return error(op, "does not belong in a backward pass");
        });
  }

  LogicalResult stepClear(cp::ClearGradientsOp op) {
    if (op.getStage() >= stages.size())
      return error(op, "the stage has no cp.attend");
    StageState &stage = stages[op.getStage()];
    if (stage.cleared)
      return error(op, "sums are cleared once", stage.cleared);
    stage.cleared = op;
    return success();
  }

  LogicalResult stepTiles(cp::AttendBackwardOp op) {
    if (op.getStage() >= stages.size())
      return error(op, "the stage has no cp.attend");
    StageState &stage = stages[op.getStage()];
    if (!stage.cleared)
      return error(op, "sums must be cleared before tiles add to them");
    bool arrived = op.getStage() == 0 || !resends ||
                   (stage.direct.resent && (!relays || stage.relayed.resent));
    if (!arrived)
      return error(op, "rows must be re-sent before tiles read them");
    if (stage.direct.packed || stage.relayed.packed)
      return error(op, "tiles must come before their gradients are packed",
                   stage.direct.packed ? stage.direct.packed
                                       : stage.relayed.packed);
    if (op.getBegin() >= op.getEnd())
      return error(op, "a launch must have tiles");
    const size_t *end = llvm::upper_bound(stage.attendEnds, op.getBegin());
    if (end != stage.attendEnds.end() && op.getEnd() > *end &&
        *end < stage.numTiles())
      return error(op, "a launch must have tiles of one cp.attend, expected "
                       "them to end at " +
                           Twine(*end));
    stage.attends.push_back(op);
    return success();
  }

  LogicalResult stepMessages(cp::ResendOp op, StageState &stage) {
    Messages &messages = stage.of(op.getRelayed());
    if (messages.resent)
      return error(op, "rows are re-sent once", messages.resent);
    if (op.getRelayed() && !stage.direct.resent)
      return error(op, "relays must have rows before they send them on");
    messages.resent = op;
    return success();
  }

  LogicalResult stepMessages(cp::PackGradientsOp op, StageState &stage) {
    Messages &messages = stage.of(op.getRelayed());
    if (messages.packed)
      return error(op, "gradients are packed once", messages.packed);
    if (!stage.cleared)
      return error(op, "sums must be cleared before they are packed");
    if (!op.getRelayed() && relays && !stage.relayed.added)
      return error(op, "relays must add gradients before they pack them");
    messages.packed = op;
    return success();
  }

  LogicalResult stepMessages(cp::ExchangeGradientsOp op, StageState &stage) {
    Messages &messages = stage.of(op.getRelayed());
    if (messages.exchanged)
      return error(op, "gradients are exchanged once", messages.exchanged);
    if (!messages.packed)
      return error(op, "gradients must be packed before they are exchanged");
    messages.exchanged = op;
    return success();
  }

  LogicalResult stepMessages(cp::AddGradientsOp op, StageState &stage) {
    Messages &messages = stage.of(op.getRelayed());
    if (messages.added)
      return error(op, "gradients are added once", messages.added);
    if (!messages.exchanged)
      return error(op, "gradients must be exchanged before they are added");
    messages.added = op;
    return success();
  }

  /// Each tile of the stage has its gradients, and they all came home.
  LogicalResult verifyDone(cp::BackwardOp backward, size_t number,
                           StageState &stage) {
    llvm::sort(stage.attends,
               [](cp::AttendBackwardOp a, cp::AttendBackwardOp b) {
                 return a.getBegin() < b.getBegin();
               });
    size_t next = 0;
    for (cp::AttendBackwardOp op : stage.attends) {
      if (op.getBegin() != next)
        return error(op, "each tile of the stage must come once, expected one "
                         "from " +
                             Twine(next) + " on");
      next = op.getEnd();
    }
    if (next != stage.numTiles())
      return error(backward, "must have all " + Twine(stage.numTiles()) +
                                 " tiles of stage " + Twine(number) +
                                 ", found " + Twine(next));
    // At relays these were packed after what relays add.
    if (number > 0 && !stage.direct.added)
      return error(backward,
                   "must add the gradients of stage " + Twine(number));
    return success();
  }

  bool resends; // rows of some rank are not saved
  bool relays;  // the program has relayed exchanges
  std::vector<StageState> stages;
};

} // namespace

LogicalResult verifyBackward(cp::ProgramOp program, bool resends) {
  auto backwards = llvm::to_vector(program.getBody().getOps<cp::BackwardOp>());
  if (backwards.empty())
    return error(program, "has no backward pass: run cp-derive-backward");
  if (backwards.size() > 1)
    return error(backwards[1], "a program has one backward pass", backwards[0]);
  return Walk(program, resends).run(backwards.front());
}

bool resendsRows(cp::BatchOp batch) {
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    for (auto exchange : program.getBody().getOps<cp::ExchangeOp>())
      for (const cp::ReceivedRange &range : exchange.getReceived())
        if (!range.saved)
          return true;
  return false;
}

} // namespace flashcp
