// Plays the instructions of a rank in the order of its plan.
//
// Forward the communication stream starts all exchanges in order, each as soon as its slot is free;
// backward it starts those of as many stages as there are slots, then, after the tiles of each
// stage, its gradients' way back and the rows that take the slot this frees. An exchange starts
// once the one before has started; each class of links serves one after another, in each direction.
// The compute stream does the stages in order, with local tiles between them (pacing.h). The next
// round follows at once.

#include "compiler/solver/schedule_time.h"

#include <algorithm>
#include <array>
#include <vector>

#include "compiler/solver/pacing.h"

namespace flashcp::solver {
namespace {

// Rounds that are played; later ones take as long as the last.
constexpr int kRounds = 4;

// When the two directions of a class of links are free.
struct Link {
  double in = 0;
  double out = 0;
};

// Time on one class of links.
struct Speed {
  double row_us = 0;  // of the heads of one group
  double message_us = 0;
};

struct Rank {
  const RankStage* stages;
  int num_stages;
  int groups;
  bool relays;
  Speed in_node, between_nodes;
  double pack_us;  // own rows that travel, of one group
};

// The communication of one rank over time.
class Links {
 public:
  explicit Links(const Rank& rank) : rank_(rank) {}

  // Lets the stream start nothing for some time.
  void Occupy(double us) { stream_ += us; }

  // Starts an exchange of rows, or of gradients that travel against them, at `ready` or later;
  // returns when it is done.
  double Direct(const RankStage& stage, bool back, double ready) {
    Start(ready);
    return std::max(Transfer(stage.between_nodes, back, rank_.between_nodes, &between_nodes_),
                    Transfer(stage.in_node, back, rank_.in_node, &in_node_));
  }
  double Relayed(const RankStage& stage, bool back, double ready) {
    Start(ready);
    return Transfer(stage.relayed, back, rank_.in_node, &in_node_);
  }

 private:
  void Start(double ready) { stream_ = std::max(stream_, ready); }

  double Transfer(const Flow& flow, bool back, const Speed& speed, Link* link) {
    const double rows_us = speed.row_us * flow.rows_in + speed.message_us * flow.messages_in;
    const double other_us = speed.row_us * flow.rows_out + speed.message_us * flow.messages_out;
    return std::max(Take(back ? other_us : rows_us, &link->in),
                    Take(back ? rows_us : other_us, &link->out));
  }
  double Take(double us, double* free) {
    if (us == 0) return stream_;
    *free = std::max(*free, stream_) + us;
    return *free;
  }

  const Rank& rank_;
  double stream_ = 0;  // when the last exchange started
  Link in_node_, between_nodes_;
};

// The slot of a stage's K/V rows, over all rounds.
int SlotOf(const Rank& rank, int round, int stage) {
  if (rank.num_stages > 1) return KeyValueSlot(stage);
  return round % std::min(rank.groups, kKeyValueSlots);
}

// Sends on what arrived, if there are relays; returns when the rows of the stage are there.
double Arrive(const Rank& rank, const RankStage& stage, double slot_free, Links* links) {
  const double direct = links->Direct(stage, /*back=*/false, slot_free);
  return rank.relays ? links->Relayed(stage, /*back=*/false, direct) : direct;
}

// Returns the remote work of a round, by stage, forward or backward.
std::vector<double> StagesOfRound(const Rank& rank, double ComputeTime::*us) {
  std::vector<double> stages;
  for (int k = 0; k < rank.num_stages; ++k) {
    stages.push_back(rank.stages[k].compute.*us / rank.groups);
  }
  return stages;
}

// Plays the rounds of a pass; each returns when it ends.
class Forward {
 public:
  Forward(const Rank& rank, double local_us)
      : rank_(rank),
        links_(rank),
        tiles_us_(StagesOfRound(rank, &ComputeTime::forward_us)),
        local_us_(local_us / rank.groups),
        before_us_(PacedWork(local_us_, tiles_us_)) {}

  double Round(int round) {
    links_.Occupy(rank_.pack_us);
    double left_us = local_us_;
    for (int k = 0; k < rank_.num_stages; ++k) {
      double& slot_free = slots_[SlotOf(rank_, round, k)];
      const double here = Arrive(rank_, rank_.stages[k], slot_free, &links_);
      compute_ += before_us_[k];
      left_us -= before_us_[k];
      if (rank_.stages[k].RowsIn() > 0) compute_ = std::max(compute_, here);
      compute_ += tiles_us_[k];
      slot_free = std::max(compute_, here);  // read, and sent on
    }
    return compute_ += left_us;
  }

 private:
  const Rank& rank_;
  Links links_;
  const std::vector<double> tiles_us_;  // by stage
  const double local_us_;
  const std::vector<double> before_us_;  // local work before each stage
  double compute_ = 0;
  std::array<double, kKeyValueSlots> slots_ = {};
};

class Backward {
 public:
  Backward(const Rank& rank, double local_us)
      : rank_(rank),
        links_(rank),
        tiles_us_(StagesOfRound(rank, &ComputeTime::backward_us)),
        local_us_(local_us / rank.groups),
        before_us_(PacedWork(local_us_, tiles_us_)),
        here_(rank.num_stages),
        relayed_back_(rank.num_stages),
        back_(rank.num_stages) {}

  double Round(int round) {
    const int stages = rank_.num_stages;
    links_.Occupy(rank_.pack_us);
    double left_us = local_us_;
    num_resent_ = 0;
    ResendBehind(round, 0);
    for (int k = 0; k < stages; ++k) {
      compute_ += before_us_[k];
      left_us -= before_us_[k];
      if (rank_.stages[k].RowsIn() > 0) compute_ = std::max(compute_, here_[k]);
      compute_ += tiles_us_[k];
      SendBack(round, k);
      ResendBehind(round, rank_.relays ? k : k + 1);
    }
    // The last gradients leave in one or two hops, behind local tiles.
    if (rank_.relays && stages > 0) {
      compute_ += left_us / 2;
      left_us /= 2;
      SendOn(round, stages - 1);
    }
    compute_ += left_us;
    if (stages > 0) Add(back_[stages - 1]);
    return compute_;
  }

 private:
  // Re-sends the stages whose slots are free: gradients of the first `returned` are on their way.
  void ResendBehind(int round, int returned) {
    for (; num_resent_ < std::min(returned + kKeyValueSlots, rank_.num_stages); ++num_resent_) {
      const double slot_free = slots_[SlotOf(rank_, round, num_resent_)];
      here_[num_resent_] = Arrive(rank_, rank_.stages[num_resent_], slot_free, &links_);
    }
  }

  // Sends the gradients of a stage to the owners, or to the relays, which send on those of the
  // stage before.
  void SendBack(int round, int k) {
    if (!rank_.relays) return SendHome(round, k);
    if (k > 0) Add(relayed_back_[k - 1]);
    relayed_back_[k] = links_.Relayed(rank_.stages[k], /*back=*/true, compute_);
    if (k > 0) SendHome(round, k - 1);
  }
  void SendOn(int round, int k) {
    Add(relayed_back_[k]);
    SendHome(round, k);
  }
  // The one slot of incoming gradients is free once those of the stage before are added.
  void SendHome(int round, int k) {
    if (k > 0) Add(back_[k - 1]);
    back_[k] = links_.Direct(rank_.stages[k], /*back=*/true, compute_);
    slots_[SlotOf(rank_, round, k)] = back_[k];
  }
  void Add(double arrived) { compute_ = std::max(compute_, arrived); }

  const Rank& rank_;
  Links links_;
  const std::vector<double> tiles_us_;  // by stage
  const double local_us_;
  const std::vector<double> before_us_;  // local work before each stage
  double compute_ = 0;
  int num_resent_ = 0;                              // stages of this round
  std::vector<double> here_, relayed_back_, back_;  // when exchanges are done, by stage
  std::array<double, kKeyValueSlots> slots_ = {};
};

template <typename Pass>
double PassUs(Pass pass, int groups) {
  double end = 0;
  double before = 0;
  for (int round = 0; round < std::min(groups, kRounds); ++round) {
    before = end;
    end = pass.Round(round);
  }
  return end + std::max(0, groups - kRounds) * (end - before);
}

}  // namespace

ComputeTime ScheduleTime(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                         int num_stages, int groups) {
  const Problem& problem = loads.problem();
  const Cluster& cluster = problem.cluster;
  const double row_bytes = static_cast<double>(problem.KeyValueBytesPerToken()) / groups;
  // A message between nodes serves a whole node, as in TransferModel.
  const int sharing = std::min(problem.ranks, cluster.ranks_per_node);
  const Rank rank = {
      stages,
      num_stages,
      groups,
      loads.relays(),
      {row_bytes / cluster.intra_node.bytes_per_us, cluster.intra_node.latency_us},
      {row_bytes / cluster.inter_node.bytes_per_us, cluster.inter_node.latency_us / sharing},
      groups > 1 ? base.sent_rows * row_bytes / cluster.memory_bytes_per_us() : 0};
  return {PassUs(Forward(rank, base.local.forward_us), groups),
          PassUs(Backward(rank, base.local.backward_us), groups)};
}

}  // namespace flashcp::solver
