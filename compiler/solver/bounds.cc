// Bounds the step of any placement from below.
//
// Idea: let every rank be done in theta. It then computes at most theta of work and owns at most
// the token cap. Sort the ranks that hold a document of length l by their last token, the last one
// first. The tokens behind the (i+1)-th last token belong to i ranks, so they are at most i * cap,
// and their work is at most i * theta: that last token lies at l - i * cap or behind, and at x_i or
// behind, where the work of [x_i, l) is i * theta. Its owner needs all keys that it sees: under a
// causal mask, all before it. As all tokens of the document are owned once, its ranks receive
// together what they need less l; and each of them, what it needs less its cap. Some rank receives
// the mean of all documents, in at most theta. The least theta that allows this is found by
// bisection. A document whose queries see further on than back is read from its end. Nodes are
// bounded in the same way as ranks, by what crosses between nodes. Forward and backward are bounded
// apart; backward moves as many rows again the other way.

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

// The keys that queries of a document see, by position from one of its two ends: the one from which
// queries see at least as far back as ahead. Positions are real numbers.
class SeenBack {
 public:
  explicit SeenBack(const Document& document)
      : length(document.length), band_(document.mask.band()) {
    if (-int64_t{band_.lower} < band_.upper) band_ = Reversed(band_);
  }

  const int64_t length;

  // Keys that the query before position `end` sees: a concave function.
  double Keys(double end) const {
    return std::min<double>(length, end + band_.upper) - std::max(0.0, end - 1 + band_.lower);
  }
  // The least keys that any query from the one before `end` on sees.
  double LeastKeys(double end) const {
    return std::max(0.0, std::min(Keys(end), Keys(static_cast<double>(length))));
  }
  // A position before which no rank can have its last token if those behind take work_us at most;
  // 0 if it would not matter to LeastKeys, or if the band ends on both sides.
  double LeastLast(const WorkCurve& curve, double work_us) const {
    if (band_.lower > 1 - length || band_.upper >= length - 1) return 0;
    // Rows see as many keys as those of a causal document do, or more; if the upper limit is below
    // 0, as those of a shorter one that comes so much later.
    const int64_t later = std::max(0, -band_.upper);
    const double last = curve.LeastBegin(std::max<int64_t>(0, length - later), work_us);
    return last > 0 ? last + later : 0;
  }

 private:
  model::Band band_;
};

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
      ComputeTime time = LeastTime(problem, document, cap_);
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
    const SeenBack document(problem_.documents[d]);
    const double cap = static_cast<double>(cap_ * group.ranks);
    const double most_us = theta_us * group.ranks;
    double beyond_owned = document.LeastKeys(document.length) - document.length;
    double beyond_cap = 0;
    for (int64_t i = 1; i < group.count; ++i) {
      double last = document.length - i * cap;
      const bool work_left = i * most_us < work_us_[d];
      if (last <= 0 && !work_left) break;
      if (work_left) last = std::max(last, document.LeastLast(curve_, i * most_us));
      const double keys = document.LeastKeys(std::max(0.0, last));
      if (keys <= 0) break;
      beyond_owned += keys;
      beyond_cap += std::max(0.0, keys - cap);
    }
    return std::max(beyond_owned, beyond_cap);
  }

  // Returns the rows that the owner of the query that sees most keys needs of others.
  int64_t MostRows(const Group& group) const {
    const int64_t cap = cap_ * group.ranks;
    if (problem_.exchange == Exchange::kAllGather) return std::max<int64_t>(0, total_ - cap);
    int64_t rows = 0;
    for (const Document& document : problem_.documents) {
      if (document.length == 0) continue;
      const model::Band& band = document.mask.band();
      const int64_t last = document.length - 1;
      const int64_t query =
          std::clamp<int64_t>(std::min(-int64_t{band.lower}, last - band.upper), 0, last);
      TokenRange keys = KeysNeeded(document, query, query + 1);
      rows = std::max(rows, keys.end - keys.begin - cap);
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
