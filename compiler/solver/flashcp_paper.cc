// Decides a placement as we read FlashCP (arXiv 2606.08476): documents longer than a threshold are
// sharded over all ranks, the others stay whole on one rank; the mix is found by search.
//
// Idea: the listing of the paper is not public, so we search generously: thresholds x three loads
// that whole documents level x four limits on a rank's work. Every mix is decided and estimated in
// O(D log N); the most promising ones are laid out and evaluated exactly. Per-doc, when all
// documents are sharded, is always among these. No clock decides: the search is bounded by counts.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/mix.h"
#include "compiler/solver/strategies.h"

namespace flashcp::solver {
namespace {

constexpr int kMaxThresholds = 24;
constexpr int kMaxEvaluations = 16;
// Bounds the time of exact evaluations: about 10 million a second.
constexpr int64_t kMaxEvaluatedSegments = 500'000;
// Bounds the time of estimates: documents and ranks, for each threshold.
constexpr int64_t kMaxEstimatedEntries = 50'000;

// Forgives what rounding adds to a bound.
constexpr double kRounding = 1e-9;

// Document lengths to try as thresholds, falling: half of them the longest ones that fit on a rank,
// where one step moves most work, the others evenly from the rest.
std::vector<int64_t> Thresholds(const Problem& problem, const DocumentTable& table) {
  std::vector<int64_t> lengths;
  int64_t cap = problem.TokenCap();
  for (int d : table.longest_first) {
    int64_t length = problem.documents[d].length;
    if (length == 0 || length > cap) continue;
    if (lengths.empty() || lengths.back() != length) lengths.push_back(length);
  }
  int64_t entries = problem.documents.size() + problem.ranks;
  size_t most = std::clamp<int64_t>(kMaxEstimatedEntries / entries, 4, kMaxThresholds);
  if (lengths.size() <= most) return lengths;
  size_t dense = most / 2;
  size_t spread = most - dense;
  std::vector<int64_t> picked(lengths.begin(), lengths.begin() + dense);
  for (size_t i = 0; i < spread; ++i) {
    picked.push_back(lengths[dense + (lengths.size() - dense - 1) * i / (spread - 1)]);
  }
  return picked;
}

struct Candidate {
  MixRule rule;
  double step_us = 0;  // estimate
  int64_t segments = 0;
};

// The cost model on averages: every rank sends what it receives, all ranks exchange evenly.
double EstimateStepUs(const Problem& problem, const DocumentTable& table, const Mix& mix) {
  double transfer_us = 0;
  if (problem.exchange == Exchange::kNeeded && problem.ranks > 1) {
    const Cluster& cluster = problem.cluster;
    double bytes = static_cast<double>(mix.received_rows) * problem.KeyValueBytesPerToken();
    int in_node = std::min(cluster.ranks_per_node, problem.ranks);
    double intra = (in_node - 1.0) / (problem.ranks - 1);
    transfer_us = std::max(bytes * intra / cluster.intra_node.bytes_per_us,
                           bytes * (1 - intra) / cluster.inter_node.bytes_per_us);
  }
  return std::max(mix.work_us, transfer_us) +
         std::max(mix.work_us * table.backward_ratio, 2 * transfer_us);
}

// All mixes of the search, the most promising first.
std::vector<Candidate> RankCandidates(const Problem& problem, const DocumentTable& table) {
  std::vector<Candidate> candidates;
  for (int64_t threshold : Thresholds(problem, table)) {
    for (LoadKind load : {LoadKind::kWork, LoadKind::kTokens, LoadKind::kLarger}) {
      for (double work_limit : {1.0, 1.05, 1.2, std::numeric_limits<double>::infinity()}) {
        Candidate candidate;
        candidate.rule = {threshold, load, work_limit, /*shard_misfits=*/true};
        Mix mix = DecideMix(problem, table, candidate.rule);
        candidate.step_us = EstimateStepUs(problem, table, mix);
        candidate.segments = mix.segments;
        candidates.push_back(candidate);
      }
    }
  }
  auto promise = [](const Candidate& c) { return std::make_tuple(c.step_us, c.segments); };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) { return promise(a) < promise(b); });
  // Limits that do not bind give the same mix again.
  auto same = [&](const Candidate& a, const Candidate& b) { return promise(a) == promise(b); };
  candidates.erase(std::unique(candidates.begin(), candidates.end(), same), candidates.end());
  return candidates;
}

// K/V rows that a rank receives of a document sharded over all, at least, on the mean of the ranks:
// if queries see back to the first key, the one with chunks i and 2N-1-i needs the keys up to the
// end of the latter, but for those that the upper limit hides; if they see on to the last key, as
// many, from the begin of the former on.
double LeastShardedRows(const Problem& problem, const Document& document) {
  const int64_t ranks = problem.ranks;
  const int64_t chunk = document.length / (2 * ranks);
  if (chunk == 0) return 0;  // some ranks may have no token
  const double owned = static_cast<double>(document.length) / ranks;
  const bool back = SeesBackToStart(document);
  const bool on = SeesOnToEnd(document);
  if (back && on) return document.length - owned;
  if (!back && !on) return 0;
  const int64_t beyond = back ? document.mask.band().upper : -document.mask.band().lower;
  return std::max(0.0, chunk * (1.5 * ranks + 0.5) + std::min<int64_t>(0, beyond) - owned);
}

// Returns the least keys that a query sees, or 1.
int64_t FewestKeys(const Document& document) {
  const TokenRange first = KeysNeeded(document, 0, 1);
  const TokenRange last = KeysNeeded(document, document.length - 1, document.length);
  return std::max<int64_t>(1, std::min(first.end - first.begin, last.end - last.begin));
}

// A lower bound of the step if some documents are sharded over all ranks.
class LeastSharded {
 public:
  explicit LeastSharded(const Problem& problem) : problem_(problem), cap_(problem.TokenCap()) {
    for (const Document& document : problem.documents) {
      const ComputeTime time = LeastTime(problem, document, cap_);
      forward_us_ += time.forward_us / problem.ranks;
      backward_us_ += time.backward_us / problem.ranks;
    }
    // Both classes of links at once; backward moves as many rows again the other way.
    const Cluster& cluster = problem.cluster;
    if (problem.exchange == Exchange::kNeeded) {
      row_us_ = problem.KeyValueBytesPerToken() /
                (cluster.intra_node.bytes_per_us + cluster.inter_node.bytes_per_us);
    }
  }

  void Shard(const Document& document) {
    rows_us_ += LeastShardedRows(problem_, document) * row_us_;
    if (document.length < 2 * problem_.ranks) return;
    // A row block of each chunk sees as many keys as the first or the last query at least; the
    // middle two chunks may share one.
    const ComputeTime block = TileTime(problem_, {FewestKeys(document), Mask::Full()}, 0, 1);
    const ComputeTime least = LeastTime(problem_, document, cap_);
    const double chunks = 2.0 * problem_.ranks - 1;
    forward_us_ += std::max(0.0, chunks * block.forward_us - least.forward_us) / problem_.ranks;
    backward_us_ += std::max(0.0, chunks * block.backward_us - least.backward_us) / problem_.ranks;
  }

  double StepUs() const {
    return std::max(forward_us_, rows_us_) + std::max(backward_us_, 2 * rows_us_);
  }

 private:
  const Problem& problem_;
  const int64_t cap_;
  double row_us_ = 0;  // a row that a rank receives
  double rows_us_ = 0;
  double forward_us_ = 0;
  double backward_us_ = 0;
};

double AllShardedStepUs(const Problem& problem, const DocumentTable& table) {
  LeastSharded sharded(problem);
  for (int d : table.longest_first) sharded.Shard(problem.documents[d]);
  return sharded.StepUs();
}

// Every mix shards all documents that are longer than its longest whole one, if it has one: a first
// document that fits nowhere whole is sharded, for which there is room on all ranks. The rank with
// that one takes as long as it.
double LeastMixStepUs(const Problem& problem, const DocumentTable& table) {
  LeastSharded sharded(problem);
  const int64_t cap = problem.TokenCap();
  double least_us = std::numeric_limits<double>::infinity();
  for (int d : table.longest_first) {
    const Document& document = problem.documents[d];
    if (document.length <= cap) {
      const ComputeTime whole = SegmentTime(problem, document, 0, document.length);
      least_us =
          std::min(least_us, std::max(sharded.StepUs(), whole.forward_us + whole.backward_us));
    }
    sharded.Shard(document);
  }
  return std::min(least_us, sharded.StepUs());
}

}  // namespace

double LeastPaperStepUs(const Problem& problem) {
  return LeastMixStepUs(problem, DocumentTable(problem));
}

std::optional<Placement> PlaceFlashcpPaperBelow(const Problem& problem, double below_us) {
  std::optional<Placement> best;
  const DocumentTable table(problem);
  if (LeastMixStepUs(problem, table) * (1 - kRounding) >= below_us) return best;
  // Most mixes compute too long already; the exchange is dear to evaluate.
  auto consider = [&](Placement placement) {
    if (ComputeStepUs(problem, placement) >= below_us) return;
    double step_us = Evaluate(problem, placement).StepUs();
    if (step_us >= below_us) return;
    below_us = step_us;
    best = std::move(placement);
  };
  if (AllShardedStepUs(problem, table) * (1 - kRounding) < below_us) consider(PlacePerDoc(problem));
  int evaluations = 0;
  int64_t segments = 0;
  for (const Candidate& candidate : RankCandidates(problem, table)) {
    segments += candidate.segments;
    if (++evaluations > kMaxEvaluations || segments > kMaxEvaluatedSegments) break;
    consider(LayOutMix(problem, table, DecideMix(problem, table, candidate.rule)));
  }
  return best;
}

Placement PlaceFlashcpPaper(const Problem& problem) {
  return *PlaceFlashcpPaperBelow(problem, std::numeric_limits<double>::infinity());
}

}  // namespace flashcp::solver
