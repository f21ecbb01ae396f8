// One walk along the ops, with what has happened to each stage so far.

#include "compiler/analysis/BackwardOrder.h"

#include "compiler/analysis/RemoteStages.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

using namespace mlir;

namespace flashcp {
namespace {

/// What has happened to an exchange ([0]) or forward ([1]) of a stage.
struct Passed {
  bool resent = false, returned = false, collected = false;
};

struct StageState {
  Passed passed[2];
  size_t numTiles = 0;
  SmallVector<std::pair<int64_t, int64_t>> differentiated; // tiles
};

class Walk {
public:
  Walk(cp::ProgramOp program, const llvm::BitVector &kept) : program(program) {
    for (auto compute : program.getBody().getOps<cp::AttendOp>())
      stages.emplace_back().numTiles =
          compute.getTiles().size() / cp::kStageTileSize;
    SmallVector<RemoteStage> remote = remoteStagesOf(program);
    relayed = !remote.empty() && bool(remote.front().forward);
    resends = !kept.all();
  }

  std::string run(cp::BackwardOp backward) {
    for (Operation &op : backward.getBody().front())
      if (std::string error = step(op); !error.empty())
        return error;
    for (auto [number, stage] : llvm::enumerate(stages)) {
      llvm::sort(stage.differentiated);
      int64_t next = 0;
      for (auto [begin, end] : stage.differentiated) {
        if (begin != next)
          return at("tiles of the stage are differentiated once each", number);
        next = end;
      }
      if (next != int64_t(stage.numTiles))
        return at("all tiles of the stage are differentiated", number);
      for (int forward = 0; number > 0 && forward <= int(relayed); ++forward)
        if (!stage.passed[forward].collected)
          return at("all that is returned is collected", number);
    }
    return "";
  }

private:
  static std::string at(const Twine &requirement, uint64_t stage) {
    return (requirement + ", found otherwise in stage " + Twine(stage)).str();
  }

  std::string step(Operation &op) {
    if (auto resend = dyn_cast<cp::ResendOp>(op))
      return stepMirror(resend.getStage(), resend.getRelayed(), op);
    if (auto returned = dyn_cast<cp::ExchangeGradientsOp>(op))
      return stepMirror(returned.getStage(), returned.getRelayed(), op);
    if (auto collect = dyn_cast<cp::AddGradientsOp>(op))
      return stepMirror(collect.getStage(), collect.getRelayed(), op);
    auto tiles = dyn_cast<cp::AttendBackwardOp>(op);
    if (!tiles)
      return "holds an op that is none of a backward pass";
    if (tiles.getStage() >= stages.size())
      return at("the stage has a cp.attend", tiles.getStage());
    StageState &stage = stages[tiles.getStage()];
    bool arrived =
        tiles.getStage() == 0 || !resends ||
        (stage.passed[0].resent && (!relayed || stage.passed[1].resent));
    if (!arrived)
      return at("rows are resent before tiles read them", tiles.getStage());
    if (stage.passed[0].returned || stage.passed[1].returned)
      return at("tiles come before the return", tiles.getStage());
    if (tiles.getBegin() >= tiles.getEnd())
      return at("a launch has tiles", tiles.getStage());
    stage.differentiated.push_back({tiles.getBegin(), tiles.getEnd()});
    return "";
  }

  std::string stepMirror(uint64_t number, bool forward, Operation &op) {
    if (number == 0 || number >= stages.size() || (forward && !relayed))
      return at("what is mirrored is in the program", number);
    StageState &stage = stages[number];
    Passed &passed = stage.passed[forward];
    if (isa<cp::ResendOp>(op)) {
      if (std::exchange(passed.resent, true))
        return at("rows are resent once", number);
      if (forward && !stage.passed[0].resent)
        return at("a relay has rows before it forwards them", number);
    } else if (isa<cp::ExchangeGradientsOp>(op)) {
      if (std::exchange(passed.returned, true))
        return at("gradients are returned once", number);
      if (!forward && relayed && !stage.passed[1].collected)
        return at("relays collect before they return", number);
    } else {
      if (!passed.returned || std::exchange(passed.collected, true))
        return at("what is returned is collected once, later", number);
    }
    return "";
  }

  cp::ProgramOp program;
  bool relayed = false; // the program has forwards
  bool resends = false; // some rows are not kept
  std::vector<StageState> stages;
};

} // namespace

std::string checkBackward(cp::ProgramOp program, const llvm::BitVector &kept) {
  auto backwards = llvm::to_vector(program.getBody().getOps<cp::BackwardOp>());
  if (backwards.size() != 1)
    return "has one backward pass, found " + std::to_string(backwards.size()) +
           ": run cp-derive-backward";
  return Walk(program, kept).run(backwards.front());
}

} // namespace flashcp
