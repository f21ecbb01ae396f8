// Counts what the passes will make of a placement: tiles, one for each run of
// keys that a rank owns or receives, and pieces of messages, one for each
// segment that a rank receives from.

#include "compiler/emit/plan_size.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/plan/plan.h"

namespace flashcp {
namespace {

using model::TokenRange;
using solver::Segment;

// Ranks, or nodes where rows cross to a node once: they receive a row at least
// once.
struct Receivers {
  explicit Receivers(const solver::Problem &problem) {
    int node = problem.cluster.ranks_per_node;
    if (node < problem.ranks)
      ranks = node;
    count = (problem.ranks + ranks - 1) / ranks;
  }

  int ranks = 1; // of each receiver
  int count = 0;
};

// Runs of keys that `rank` owns, and of keys between them that it receives,
// among those that the queries of `segment` see. `own` are the rank's segments
// of the document.
size_t CountTiles(const TokenRange &keys, const std::vector<Segment> &own) {
  size_t tiles = 0;
  int64_t position = keys.begin;
  for (const Segment &segment : own) {
    if (segment.end <= keys.begin || segment.begin >= keys.end)
      continue;
    if (position < segment.begin)
      ++tiles;
    ++tiles;
    position = segment.end;
  }
  // Queries that see no key have a tile, too.
  return std::max<size_t>(1, tiles + (position < keys.end ? 1 : 0));
}

using SegmentIterator = std::vector<Segment>::const_iterator;

// Segments of [begin, end), in order, that overlap `keys`.
size_t CountSegments(SegmentIterator begin, SegmentIterator end,
                     const TokenRange &keys) {
  auto first = std::partition_point(
      begin, end, [&](const Segment &s) { return s.end <= keys.begin; });
  auto last = std::partition_point(
      first, end, [&](const Segment &s) { return s.begin < keys.end; });
  return last - first;
}

// Counts one document after the other.
class Counter {
public:
  explicit Counter(const solver::Problem &problem)
      : problem_(problem), receivers_(problem) {}

  void Add(const model::Document &document,
           const std::vector<Segment> &segments) {
    segments_ += segments.size();
    if (segments.size() < 2 && problem_.exchange == model::Exchange::kNeeded) {
      tiles_ += segments.size();
      return;
    }
    sorted_ = segments;
    std::stable_sort(
        sorted_.begin(), sorted_.end(),
        [](const Segment &a, const Segment &b) { return a.rank < b.rank; });
    AddTiles(document);
    if (problem_.exchange == model::Exchange::kAllGather) {
      pieces_ += segments.size() * (receivers_.count - 1);
    } else {
      AddPieces(document, segments);
    }
  }

  size_t Bytes() const {
    return segments_ * sizeof(fbs::TokenRange) + tiles_ * sizeof(fbs::Tile) +
           pieces_ * sizeof(fbs::Slice);
  }

private:
  void AddTiles(const model::Document &document) {
    for (auto first = sorted_.begin(); first != sorted_.end();) {
      auto last = std::find_if(first, sorted_.end(), [&](const Segment &s) {
        return s.rank != first->rank;
      });
      own_.assign(first, last);
      for (const Segment &segment : own_) {
        tiles_ +=
            CountTiles(KeysNeeded(document, segment.begin, segment.end), own_);
      }
      first = last;
    }
  }

  void AddPieces(const model::Document &document,
                 const std::vector<Segment> &segments) {
    auto receiver = [&](const Segment &s) { return s.rank / receivers_.ranks; };
    std::stable_sort(sorted_.begin(), sorted_.end(),
                     [&](const Segment &a, const Segment &b) {
                       return receiver(a) != receiver(b)
                                  ? receiver(a) < receiver(b)
                                  : a.begin < b.begin;
                     });
    for (auto first = sorted_.begin(); first != sorted_.end();) {
      auto last = std::find_if(first, sorted_.end(), [&](const Segment &s) {
        return receiver(s) != receiver(*first);
      });
      // Own rows do not travel.
      auto countPieces = [&](const TokenRange &run) {
        return CountSegments(segments.begin(), segments.end(), run) -
               CountSegments(first, last, run);
      };
      // Later queries see keys that begin and end later: runs come in order.
      TokenRange run = KeysNeeded(document, first->begin, first->end);
      for (auto next = first + 1; next != last; ++next) {
        TokenRange keys = KeysNeeded(document, next->begin, next->end);
        if (keys.begin > run.end) {
          pieces_ += countPieces(run);
          run = keys;
        }
        run.end = keys.end;
      }
      pieces_ += countPieces(run);
      first = last;
    }
  }

  const solver::Problem &problem_;
  const Receivers receivers_;
  std::vector<Segment> sorted_, own_;
  size_t segments_ = 0, tiles_ = 0, pieces_ = 0;
};

} // namespace

std::string PlanTooLarge(size_t bytes) {
  return absl::StrCat(
      kPlanTooLarge, "it would take about ", bytes,
      " bytes, and a plan file at ", "most ", kMaxPlanBytes,
      ": use fewer ranks or a strategy that cuts documents less");
}

size_t EstimatePlanBytes(const solver::Problem &problem,
                         const solver::Placement &placement) {
  Counter counter(problem);
  for (size_t d = 0; d < problem.documents.size(); ++d) {
    counter.Add(problem.documents[d], placement.documents[d]);
  }
  return counter.Bytes();
}

} // namespace flashcp
