// Decides how whole, sharded and filling documents share the ranks, so that tokens end exactly
// even.
//
// At slack 0 every rank must end at floor(T/N) or ceil(T/N) tokens, which whole documents alone
// never hit. So the budget counts down what each rank may still take: sharded documents first take
// 2 floor(l / 2N) tokens on all ranks, whole ones take their length on one, and what is left on the
// ranks is then exactly as much as remainder tokens and filling documents together: dealing and
// filling whatever room there is ends even.

#include "compiler/solver/mix.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/segments.h"

namespace flashcp::solver {
namespace {

// Ranks in the order of their load, ties by index.
class RankQueue {
 public:
  RankQueue(int ranks, LoadKind kind, double total_us, int64_t total_tokens)
      : kind_(kind),
        per_us_(1 / std::max(total_us, 1e-300)),
        per_token_(1.0 / std::max<int64_t>(total_tokens, 1)),
        work_us_(ranks) {
    for (int rank = 0; rank < ranks; ++rank) order_.emplace_back(0.0, rank);
  }

  double work_us(int rank) const { return work_us_[rank]; }

  // Puts a document of so much work on the first rank that has room for it and stays within the
  // limit; Mix::kFills if none does.
  int Place(int64_t tokens, double work_us, double limit_us, TokenBudget& budget) {
    for (auto entry = order_.begin(); entry != order_.end(); ++entry) {
      const int rank = entry->second;
      const bool no_room = budget.Room(rank) < tokens;
      const bool too_long = work_us_[rank] + work_us > limit_us;
      if (!no_room && !too_long) {
        budget.Take(rank, tokens);
        work_us_[rank] += work_us;
        Reorder(entry, Load(rank, budget.used(rank)));
        return rank;
      }
      // All further ranks have no less of the load.
      if (kind_ == LoadKind::kWork ? too_long : kind_ == LoadKind::kTokens && no_room) break;
    }
    return Mix::kFills;
  }

 private:
  using Entry = std::pair<double, int>;  // load, rank

  // Gives the entry a larger load.
  void Reorder(std::vector<Entry>::iterator entry, double load) {
    const Entry moved(load, entry->second);
    auto behind = std::lower_bound(entry + 1, order_.end(), moved);
    std::move(entry + 1, behind, entry);
    *(behind - 1) = moved;
  }

  double Load(int rank, int64_t tokens) const {
    double work = work_us_[rank] * per_us_;
    double share = tokens * per_token_;
    switch (kind_) {
      case LoadKind::kWork:
        return work;
      case LoadKind::kTokens:
        return share;
      case LoadKind::kLarger:
        break;
    }
    return std::max(work, share);
  }

  const LoadKind kind_;
  const double per_us_;
  const double per_token_;
  std::vector<double> work_us_;
  std::vector<Entry> order_;
};

// Deals tokens one by one to the ranks with room, in turns that go on from document to document.
class RemainderDealer {
 public:
  RemainderDealer(int ranks, TokenBudget& budget) : budget_(budget), open_(ranks), dealt_(ranks) {
    std::iota(open_.begin(), open_.end(), 0);
  }

  // The rank whose turn it is, whether or not it has room.
  int turn() const { return open_.empty() ? 0 : open_[next_ % open_.size()]; }

  // Returns the number of these tokens that each rank gets; valid until the next call.
  const std::vector<int64_t>& Deal(int64_t tokens) {
    std::fill(dealt_.begin(), dealt_.end(), 0);
    while (tokens > 0) {
      if (next_ == open_.size()) next_ = 0;
      int rank = open_[next_];
      if (budget_.Room(rank) == 0) {
        open_.erase(open_.begin() + next_);
        continue;
      }
      budget_.Take(rank, 1);
      dealt_[rank] += 1;
      next_ += 1;
      tokens -= 1;
    }
    return dealt_;
  }

 private:
  TokenBudget& budget_;
  std::vector<int> open_;  // ranks that may have room
  size_t next_ = 0;        // into open_
  std::vector<int64_t> dealt_;
};

// 2N chunks of a document of `length` tokens: rank first + i (mod N) owns chunks i and 2N-1-i, of
// equal size but for its remainder tokens, which go to the two in turn.
std::vector<Segment> ZigzagChunks(int64_t length, int first,
                                  const std::vector<int64_t>& remainder) {
  int ranks = remainder.size();
  int64_t chunk = length / (2 * ranks);
  std::vector<Segment> segments;
  segments.reserve(std::min<int64_t>(length, 2 * ranks));
  int64_t begin = 0;
  for (int i = 0; i < 2 * ranks; ++i) {
    bool early = i < ranks;
    int rank = (first + (early ? i : 2 * ranks - 1 - i)) % ranks;
    int64_t end = begin + chunk + (remainder[rank] + (early ? 1 : 0)) / 2;
    AppendSegment(begin, end, rank, segments);
    begin = end;
  }
  return segments;
}

// Fills the ranks with most room, one document after the other.
class Filler {
 public:
  Filler(int ranks, TokenBudget& budget) : budget_(budget), order_(ranks) {
    std::vector<int64_t> room(ranks);
    for (int rank = 0; rank < ranks; ++rank) room[rank] = budget.Room(rank);
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return room[a] > room[b]; });
  }

  std::vector<Segment> Fill(int64_t length) {
    std::vector<Segment> segments;
    for (int64_t begin = 0; begin < length;) {
      int rank = order_[next_];
      int64_t end = std::min(length, begin + budget_.Room(rank));
      budget_.Take(rank, end - begin);
      AppendSegment(begin, end, rank, segments);
      if (end < length) ++next_;
      begin = end;
    }
    return segments;
  }

 private:
  TokenBudget& budget_;
  std::vector<int> order_;
  size_t next_ = 0;  // into order_
};

// K/V rows that a rank receives of a document sharded over all ranks: all it does not own, or the
// halos of its two chunks, if these are fewer.
int64_t ShardedRows(const Document& document, int ranks) {
  const int64_t others = document.length - document.length / ranks;
  const int64_t chunk = document.length / (2 * ranks);
  const int64_t lower = document.mask.band().lower;
  const int64_t upper = document.mask.band().upper;
  const int64_t own =
      std::max<int64_t>(0, chunk + std::min<int64_t>(0, upper) - std::max<int64_t>(0, lower));
  return std::min(others, 2 * (chunk + upper - lower - own));
}

// Time of each rank for a document sharded over all: that of rank 0, which has the first chunk and
// the last. A document shorter than 2N tokens has fewer chunks than that.
double ShardedUs(const Problem& problem, const Document& document) {
  int64_t chunks = 2 * problem.ranks;
  int64_t chunk = (document.length + chunks - 1) / chunks;
  double pair_us =
      SegmentTime(problem, document, 0, chunk).forward_us +
      SegmentTime(problem, document, document.length - chunk, document.length).forward_us;
  return document.length < chunks ? pair_us * document.length / chunks : pair_us;
}

}  // namespace

TokenBudget::TokenBudget(const Problem& problem) : used_(problem.ranks) {
  bool exact = problem.slack_percent == 0;
  int64_t total = problem.TotalTokens();
  share_ = exact ? total / problem.ranks : problem.TokenCap();
  spare_ = exact ? total % problem.ranks : 0;
}

void TokenBudget::Take(int rank, int64_t tokens) {
  bool was_above = used_[rank] > share_;
  used_[rank] += tokens;
  most_ = std::max(most_, used_[rank]);
  if (used_[rank] > share_ && !was_above) --spare_;
}

bool TokenBudget::TakeOnAll(int64_t tokens) {
  // A rank above the share already has no room.
  if (tokens > 0 && most_ + tokens > share_) return false;
  share_ -= tokens;
  return true;
}

DocumentTable::DocumentTable(const Problem& problem) : longest_first(problem.documents.size()) {
  const std::vector<Document>& documents = problem.documents;
  std::iota(longest_first.begin(), longest_first.end(), 0);
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](int a, int b) { return documents[a].length > documents[b].length; });
  double backward_us = 0;
  for (const Document& document : documents) {
    ComputeTime time = SegmentTime(problem, document, 0, document.length);
    whole_us.push_back(time.forward_us);
    sharded_us.push_back(ShardedUs(problem, document));
    sharded_rows.push_back(ShardedRows(document, problem.ranks));
    total_us += time.forward_us;
    backward_us += time.backward_us;
  }
  if (total_us > 0) backward_ratio = backward_us / total_us;
}

Mix DecideMix(const Problem& problem, const DocumentTable& table, const MixRule& rule) {
  const int ranks = problem.ranks;
  Mix mix{TokenBudget(problem), std::vector<int>(problem.documents.size(), Mix::kFills)};
  RankQueue queue(ranks, rule.load, table.total_us, problem.TotalTokens());
  double sharded_us = 0;
  double filling_us = 0;
  for (int d : table.longest_first) {
    int64_t length = problem.documents[d].length;
    int& home = mix.home[d];
    if (length <= rule.shard_above) {
      // A relative 1e-9 forgives what rounding adds to work that is exactly even.
      double limit_us = table.total_us / ranks * rule.work_limit * (1 + 1e-9) - sharded_us;
      home = queue.Place(length, table.whole_us[d], limit_us, mix.budget);
    }
    bool shard = length > rule.shard_above || rule.shard_misfits;
    if (home == Mix::kFills && shard && mix.budget.TakeOnAll(length / (2 * ranks) * 2)) {
      home = Mix::kSharded;
      mix.received_rows += table.sharded_rows[d];
      mix.segments += std::min<int64_t>(length, 2 * ranks);
      sharded_us += table.sharded_us[d];
    }
    if (home == Mix::kFills) filling_us += table.whole_us[d];
  }
  for (int rank = 0; rank < ranks; ++rank) {
    mix.work_us = std::max(mix.work_us, queue.work_us(rank));
  }
  mix.work_us += sharded_us + filling_us / ranks;
  mix.segments += problem.documents.size() + ranks;
  return mix;
}

Placement LayOutMix(const Problem& problem, const DocumentTable& table, Mix mix) {
  Placement placement;
  placement.documents.resize(problem.documents.size());
  RemainderDealer dealer(problem.ranks, mix.budget);
  for (size_t d = 0; d < problem.documents.size(); ++d) {
    int64_t length = problem.documents[d].length;
    if (mix.home[d] >= 0) {
      AppendSegment(0, length, mix.home[d], placement.documents[d]);
    } else if (mix.home[d] == Mix::kSharded) {
      int first = dealer.turn();
      const std::vector<int64_t>& remainder = dealer.Deal(length % (2 * problem.ranks));
      placement.documents[d] = ZigzagChunks(length, first, remainder);
    }
  }
  Filler filler(problem.ranks, mix.budget);
  for (int d : table.longest_first) {
    if (mix.home[d] == Mix::kFills) {
      placement.documents[d] = filler.Fill(problem.documents[d].length);
    }
  }
  return placement;
}

}  // namespace flashcp::solver
