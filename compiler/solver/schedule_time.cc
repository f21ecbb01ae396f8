// Plays the instructions of a rank in the order of its plan.
//
// Forward the communication stream starts all exchanges in order, each as soon as its slot is free;
// backward it starts those of as many stages as there are slots, then, after the tiles of each
// stage, its gradients' way back and the rows that take the slot this frees. An exchange starts
// once the one before has started; each class of links serves one after another, in each direction.
// The compute stream does the stages in order. Before it would wait it does local tiles, and what
// is left of them at the end. The next round follows at once.

#include "compiler/solver/schedule_time.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

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
  const RankStage* resent;  // the rows of stages that backward sends again
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

// The compute stream: remote tiles, and local ones before it would wait. Which local tiles come
// before which wait is the same in every round.
class Compute {
 public:
  // Without a pace, local tiles come while a wait lasts.
  Compute(double local_us, const std::vector<double>* pace) : local_us_(local_us), pace_(pace) {}

  double now() const { return now_; }
  // Returns the local work that this round did before each wait.
  const std::vector<double>& before_us() const { return before_us_; }

  void BeginRound() {
    left_us_ = local_us_;
    before_us_.clear();
  }
  void WaitUntil(double ready) {
    const double us =
        pace_ != nullptr ? (*pace_)[before_us_.size()] : std::clamp(ready - now_, 0.0, left_us_);
    before_us_.push_back(us);
    left_us_ -= us;
    now_ = std::max(now_ + us, ready);
  }
  void Add(double us) { now_ += us; }
  void AddRest() { now_ += std::exchange(left_us_, 0); }

 private:
  const double local_us_;  // of a round
  const std::vector<double>* const pace_;
  double now_ = 0;
  double left_us_ = 0;
  std::vector<double> before_us_;
};

// Plays the rounds of a pass; each returns when it ends.
class Forward {
 public:
  Forward(const Rank& rank, double local_us, const std::vector<double>* pace)
      : rank_(rank),
        links_(rank),
        tiles_us_(StagesOfRound(rank, &ComputeTime::forward_us)),
        compute_(local_us / rank.groups, pace) {}

  const Compute& compute() const { return compute_; }

  double Round(int round) {
    links_.Occupy(rank_.pack_us);
    compute_.BeginRound();
    for (int k = 0; k < rank_.num_stages; ++k) {
      double& slot_free = slots_[SlotOf(rank_, round, k)];
      compute_.WaitUntil(Arrive(rank_, rank_.stages[k], slot_free, &links_));
      compute_.Add(tiles_us_[k]);
      slot_free = compute_.now();
    }
    compute_.AddRest();
    return compute_.now();
  }

 private:
  const Rank& rank_;
  Links links_;
  const std::vector<double> tiles_us_;  // by stage
  Compute compute_;
  std::array<double, kKeyValueSlots> slots_ = {};
};

class Backward {
 public:
  Backward(const Rank& rank, double local_us, const std::vector<double>* pace)
      : rank_(rank),
        links_(rank),
        tiles_us_(StagesOfRound(rank, &ComputeTime::backward_us)),
        compute_(local_us / rank.groups, pace),
        here_(rank.num_stages),
        relayed_back_(rank.num_stages),
        back_(rank.num_stages) {}

  const Compute& compute() const { return compute_; }

  double Round(int round) {
    const int stages = rank_.num_stages;
    links_.Occupy(rank_.pack_us);
    compute_.BeginRound();
    num_resent_ = 0;
    ResendBehind(round, 0);
    for (int k = 0; k < stages; ++k) {
      compute_.WaitUntil(here_[k]);
      compute_.Add(tiles_us_[k]);
      SendBack(round, k);
      ResendBehind(round, rank_.relays ? k : k + 1);
    }
    // The last gradients leave in one or two hops, behind local tiles.
    if (rank_.relays && stages > 0) SendOn(round, stages - 1);
    compute_.AddRest();
    if (stages > 0) compute_.Add(std::max(0.0, back_[stages - 1] - compute_.now()));
    return compute_.now();
  }

 private:
  // Re-sends the stages whose slots are free: gradients of the first `returned` are on their way.
  void ResendBehind(int round, int returned) {
    for (; num_resent_ < std::min(returned + kKeyValueSlots, rank_.num_stages); ++num_resent_) {
      const double slot_free = slots_[SlotOf(rank_, round, num_resent_)];
      here_[num_resent_] = Arrive(rank_, rank_.resent[num_resent_], slot_free, &links_);
    }
  }

  // Sends the gradients of a stage to the owners, or to the relays, which send on those of the
  // stage before.
  void SendBack(int round, int k) {
    if (!rank_.relays) return SendHome(round, k);
    if (k > 0) compute_.WaitUntil(relayed_back_[k - 1]);
    relayed_back_[k] = links_.Relayed(rank_.stages[k], /*back=*/true, compute_.now());
    if (k > 0) SendHome(round, k - 1);
  }
  void SendOn(int round, int k) {
    compute_.WaitUntil(relayed_back_[k]);
    SendHome(round, k);
  }
  // The one slot of incoming gradients is free once those of the stage before are added.
  void SendHome(int round, int k) {
    if (k > 0) compute_.WaitUntil(back_[k - 1]);
    back_[k] = links_.Direct(rank_.stages[k], /*back=*/true, compute_.now());
    slots_[SlotOf(rank_, round, k)] = back_[k];
  }

  const Rank& rank_;
  Links links_;
  const std::vector<double> tiles_us_;  // by stage
  Compute compute_;
  int num_resent_ = 0;                              // stages of this round
  std::vector<double> here_, relayed_back_, back_;  // when exchanges are done, by stage
  std::array<double, kKeyValueSlots> slots_ = {};
};

// A pass as played: when it ends, and the local work before each wait of its first and last round.
struct Played {
  double us = 0;
  std::vector<double> first_us, last_us;
};

template <typename Pass>
Played Play(const Rank& rank, double local_us, const std::vector<double>* pace) {
  Pass pass(rank, local_us, pace);
  Played played;
  double before_us = 0;
  for (int round = 0; round < std::min(rank.groups, kRounds); ++round) {
    before_us = std::exchange(played.us, pass.Round(round));
    if (round == 0) played.first_us = pass.compute().before_us();
  }
  played.last_us = pass.compute().before_us();
  played.us += std::max(0, rank.groups - kRounds) * (played.us - before_us);
  return played;
}

// Rounds that each fill their waits are the shortest; of one pace for all, that of the first or the
// last of these is about as short.
template <typename Pass>
PacedPass Pace(const Rank& rank, double local_us) {
  Played played = Play<Pass>(rank, local_us, nullptr);
  PacedPass best = {played.us, std::move(played.first_us)};
  if (rank.groups > 1) {
    best.us = Play<Pass>(rank, local_us, &best.before).us;
    const double last_us = Play<Pass>(rank, local_us, &played.last_us).us;
    if (last_us < best.us) best = {last_us, std::move(played.last_us)};
  }
  for (double& share : best.before) share = local_us > 0 ? share * rank.groups / local_us : 0;
  return best;
}

Rank RankOf(const StageLoads& loads, const RankBase& base, const RankStage* stages,
            const RankStage* resent, int num_stages, int groups) {
  const Problem& problem = loads.problem();
  const Cluster& cluster = problem.cluster;
  const double row_bytes = static_cast<double>(problem.KeyValueBytesPerToken()) / groups;
  // A message between nodes serves a whole node, as in TransferModel.
  const int sharing = std::min(problem.ranks, cluster.ranks_per_node);
  return {stages,
          resent,
          num_stages,
          groups,
          loads.relays(),
          {row_bytes / cluster.intra_node.bytes_per_us, cluster.intra_node.latency_us},
          {row_bytes / cluster.inter_node.bytes_per_us, cluster.inter_node.latency_us / sharing},
          groups > 1 ? base.sent_rows * row_bytes / cluster.memory_bytes_per_us() : 0};
}

}  // namespace

PacedPass PlayForward(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                      int num_stages, int groups) {
  const Rank rank = RankOf(loads, base, stages, stages, num_stages, groups);
  return Pace<Forward>(rank, base.local.forward_us);
}

PacedPass PlayBackward(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                       const RankStage* resent, int num_stages, int groups) {
  const Rank rank = RankOf(loads, base, stages, resent, num_stages, groups);
  return Pace<Backward>(rank, base.local.backward_us);
}

}  // namespace flashcp::solver
