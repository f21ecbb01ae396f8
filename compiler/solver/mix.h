// Placements that treat each document in one of three ways: whole on one rank, sharded over all
// ranks, or filling the room that the others left. The strategies per-doc, whole-doc and
// flashcp-paper are choices of the rule that decides which.

#ifndef FLASHCP_COMPILER_SOLVER_MIX_H_
#define FLASHCP_COMPILER_SOLVER_MIX_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Tokens that each rank may still take, such that every rank ends at floor(T/N) or ceil(T/N) at
// slack 0, and at most at the cap otherwise.
class TokenBudget {
 public:
  explicit TokenBudget(const Problem& problem);

  // Returns the tokens that the rank may take now. Tokens that one rank takes can lower it for
  // others: only T mod N ranks end at ceil(T/N).
  int64_t Room(int rank) const {
    return used_[rank] > share_ ? 0 : share_ - used_[rank] + (spare_ > 0 ? 1 : 0);
  }
  // 0 <= tokens <= Room(rank).
  void Take(int rank, int64_t tokens);
  // Takes tokens on every rank, or returns false if some rank has no room for them.
  bool TakeOnAll(int64_t tokens);

  int64_t used(int rank) const { return used_[rank]; }  // without those taken on all

 private:
  int64_t share_;     // all ranks may reach it
  int64_t spare_;     // number of ranks that may go one above
  int64_t most_ = 0;  // largest of used_
  std::vector<int64_t> used_;
};

// Answers that the rules need about the documents of a problem, computed once.
struct DocumentTable {
  explicit DocumentTable(const Problem& problem);

  std::vector<int> longest_first;     // documents in falling length, ties by index
  std::vector<double> whole_us;       // modelled forward time on one rank
  std::vector<double> sharded_us;     // on each rank, if sharded over all
  std::vector<int64_t> sharded_rows;  // K/V rows each rank receives then, about
  double total_us = 0;                // all documents whole
  double backward_ratio = 1;          // modelled backward time over forward time
};

// The load of ranks; a whole document goes to the least loaded.
enum class LoadKind { kWork, kTokens, kLarger };

struct MixRule {
  int64_t shard_above = std::numeric_limits<int64_t>::max();  // tokens; longer ones are sharded
  LoadKind load = LoadKind::kWork;
  // A whole document may lift a rank's work to this multiple of the mean.
  double work_limit = std::numeric_limits<double>::infinity();
  // Documents that fit nowhere whole are sharded while there is room for it, else fill what room is
  // left.
  bool shard_misfits = false;
};

// A mix, decided but not yet laid out.
struct Mix {
  static constexpr int kSharded = -1;
  static constexpr int kFills = -2;

  TokenBudget budget;         // after whole documents, and sharded ones but for remainders
  std::vector<int> home;      // of each document: its rank, kSharded or kFills
  double work_us = 0;         // estimate of the slowest rank's forward compute
  int64_t received_rows = 0;  // estimate of the K/V rows that each rank receives
  int64_t segments = 0;       // about, at most
};

// Decides all documents, longest first. O(D log N) while most documents fit on the least loaded
// ranks, O(D N) at worst.
Mix DecideMix(const Problem& problem, const DocumentTable& table, const MixRule& rule);

// Lays a mix out: cuts sharded documents in 2N chunks, zigzag, deals their remainder tokens round
// robin to ranks with room, and fills the rest contiguously, emptiest rank first. O(D N + N^2).
Placement LayOutMix(const Problem& problem, const DocumentTable& table, Mix mix);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_MIX_H_
