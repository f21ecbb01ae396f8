// Bounds the step of any placement from below.
//
// Idea: let every rank be done in theta. It then computes at most theta of work and owns at most
// the token cap. Sort the ranks that hold a causal document of length l by their last token, the
// last one first. The tokens behind the (i+1)-th last token belong to i ranks, so they are at most
// i * cap, and their work is at most i * theta: that last token lies at l - i * cap or behind, and
// at x_i or behind, where the work of [x_i, l) is i * theta. Its owner needs all keys before it. As
// all tokens of the document are owned once, its ranks receive together at least the sum of
// max(l - i * cap, x_i) over i >= 1. Some rank receives the mean of all documents, in at most
// theta. The least theta that allows this is found by bisection. Nodes are bounded in the same way
// as ranks, by what crosses between nodes. Forward and backward are bounded apart; backward moves
// as many rows again the other way.

#include "compiler/solver/bounds.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/work_curve.h"

namespace flashcp::solver {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
constexpr int kBisections = 40;

// A rank, or the ranks of a node.
struct Group {
  int64_t ranks = 1;
  int64_t count = 1;        // such groups in the cluster
  double bytes_per_us = 0;  // most that a rank receives from outside its group
};

std::vector<Group> Groups(const Problem& problem) {
  const Cluster& cluster = problem.cluster;
  const int node = cluster.ranks_per_node;
  const double intra = cluster.intra_node.bytes_per_us;
  const double inter = cluster.inter_node.bytes_per_us;
  if (problem.ranks <= node) return {{1, problem.ranks, intra}};
  if (node == 1) return {{1, problem.ranks, inter}};
  return {{1, problem.ranks, intra + inter}, {node, (problem.ranks + node - 1) / node, inter}};
}

// One direction of the step: forward or backward.
class Direction {
 public:
  Direction(const Problem& problem, bool backward)
      : problem_(problem),
        groups_(Groups(problem)),
        total_(problem.TotalTokens()),
        cap_(problem.TokenCap()),
        curve_(problem, backward ? 0 : 1, backward ? 1 : 0),
        moves_(backward ? 2 : 1) {
    double work_us = 0;
    for (const Document& document : problem.documents) {
      ComputeTime time = LeastTime(problem, document);
      work_us_.push_back(backward ? time.backward_us : time.forward_us);
      work_us += work_us_.back();
    }
    compute_us_ = work_us / problem.ranks;
  }

  double ComputeUs() const { return compute_us_; }

  // Time of the rows that ranks receive if none computes for longer than theta_us.
  double TransferUs(double theta_us) const {
    double slowest = 0;
    for (const Group& group : groups_) {
      if (group.count == 1) continue;
      double row_us = problem_.KeyValueBytesPerToken() / group.bytes_per_us;
      double mean = static_cast<double>(MovedRows(group, theta_us)) / problem_.ranks;
      double single = static_cast<double>(MostRows(group)) / group.ranks;
      slowest = std::max({slowest, moves_ * mean * row_us, single * row_us});
    }
    return slowest;
  }

  double CombinedUs() const {
    double low = std::max(compute_us_, TransferUs(kNoLimit));
    double high = TransferUs(low);
    if (high <= low) return low;
    for (int i = 0; i < kBisections; ++i) {
      double theta_us = (low + high) / 2;
      (TransferUs(theta_us) <= theta_us ? high : low) = theta_us;
    }
    return low;
  }

 private:
  // Rows that cross into all groups together.
  double MovedRows(const Group& group, double theta_us) const {
    if (problem_.exchange == Exchange::kAllGather) {
      return static_cast<double>(total_) * (group.count - 1);
    }
    double rows = 0;
    for (size_t d = 0; d < problem_.documents.size(); ++d) {
      rows += DocumentRows(d, group, theta_us);
    }
    return rows;
  }

  double DocumentRows(size_t d, const Group& group, double theta_us) const {
    const Document& document = problem_.documents[d];
    const double cap = static_cast<double>(cap_ * group.ranks);
    const double most_us = theta_us * group.ranks;
    const double length = static_cast<double>(document.length);
    double rows = 0;
    for (int64_t i = 1; i < group.count; ++i) {
      double last = length - i * cap;
      bool work_left = i * most_us < work_us_[d];
      if (last <= 0 && !work_left) break;
      if (document.mask.IsCausal()) {
        if (work_left) last = std::max(last, curve_.LeastBegin(document.length, i * most_us));
        if (last <= 0) return rows;
        rows += last;
      } else if (document.mask.IsFull()) {
        rows += length;  // of one more group, which needs all keys
      } else {
        // Such a group needs the window before its last token, and owns its cap at most.
        if (last <= cap) return rows;
        rows += std::max(0.0, std::min<double>(document.mask.window(), last) - cap);
      }
    }
    return rows;
  }

  // Returns the rows that the owner of a document's last token needs of others.
  int64_t MostRows(const Group& group) const {
    const int64_t cap = cap_ * group.ranks;
    if (problem_.exchange == Exchange::kAllGather) return std::max<int64_t>(0, total_ - cap);
    int64_t rows = 0;
    for (const Document& document : problem_.documents) {
      TokenRange keys = KeysNeeded(document, document.length - 1, document.length);
      if (document.length > 0) rows = std::max(rows, keys.end - keys.begin - cap);
    }
    return rows;
  }

  const Problem& problem_;
  const std::vector<Group> groups_;
  const int64_t total_;
  const int64_t cap_;
  const WorkCurve curve_;
  const double moves_;           // rows a rank moves in each direction for each row that it needs
  std::vector<double> work_us_;  // of each document, at least
  double compute_us_ = 0;
};

}  // namespace

LowerBounds BoundStep(const Problem& problem) {
  LowerBounds bounds;
  for (bool backward : {false, true}) {
    Direction direction(problem, backward);
    bounds.compute_us += direction.ComputeUs();
    bounds.communication_us += direction.TransferUs(kNoLimit);
    bounds.combined_us += direction.CombinedUs();
  }
  return bounds;
}

double LowerBoundUs(const Problem& problem) {
  LowerBounds bounds = BoundStep(problem);
  return std::max({bounds.compute_us, bounds.communication_us, bounds.combined_us});
}

}  // namespace flashcp::solver
