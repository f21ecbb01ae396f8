// When parts of a backward pass, computed at once, may add to the gradients: in the order of the
// table, so that sums are the same bits for every number of workers.
//
// A part is some query rows of a tile, of heads that share their keys. It computes in memory of its
// own and waits only before it adds, for earlier parts that have yet to add to the same rows. The
// earliest part at work never waits.

#ifndef FLASHCP_RUNTIME_CPU_GRADIENT_ORDER_H_
#define FLASHCP_RUNTIME_CPU_GRADIENT_ORDER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/types/span.h"
#include "runtime/cpu/panels.h"
#include "runtime/kernels.h"

namespace flashcp {

struct BackwardPart {
  const BackwardTile* tile;
  QueryRange queries;
};

class GradientOrder {
 public:
  GradientOrder(const KernelSpec& spec, int workers) : spec_(spec), active_(workers) {}

  // Begins a table, which must outlive its use. Nobody works at another one.
  void Start(absl::Span<const BackwardTile> tiles);

  // Ends the worker's part and takes the next one; false if none is left. Allocates nothing.
  bool Take(int worker, BackwardPart* part);
  // The part that is taken next, by whatever worker; false if none is left.
  bool Peek(BackwardPart* part);

  // The worker will add to no other keys of its part's tile; to these in ascending order.
  void Narrow(int worker, KeyRange keys);
  // Waits until no earlier part will add to these keys of the tile.
  void AwaitKeys(int worker, KeyRange keys);
  // The worker has added to all keys before this one.
  void ReleaseKeys(int worker, int64_t end);
  // Waits until no earlier part will add to the query rows of this one.
  void AwaitQueries(int worker);

 private:
  // What a worker computes and may yet add to.
  struct Active {
    bool busy = false;
    int64_t number = 0;  // of the part, in the order of the table
    BackwardPart part = {};
    KeyRange keys = {};
  };

  // Where a part begins.
  struct Place {
    size_t tile = 0;
    int head = 0;
    int64_t row = 0;
  };

  // Fills the next part from `place` on, and moves on behind it; false if there is none.
  bool NextPart(Place* place, BackwardPart* part) const;
  // Whether an earlier part of the same heads satisfies `conflict`.
  template <typename Conflict>
  bool Earlier(int worker, const Conflict& conflict) const;
  bool ShareKeys(const Active& a, const Active& b, KeyRange keys) const;
  bool ShareQueries(const Active& a, const Active& b) const;
  int KeyValueHead(const BackwardPart& part) const {
    return part.queries.head_begin / (spec_.query_heads / spec_.key_value_heads);
  }

  const KernelSpec spec_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  absl::Span<const BackwardTile> tiles_;
  Place next_;
  int64_t num_taken_ = 0;
  std::vector<Active> active_;  // of each worker
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_GRADIENT_ORDER_H_
