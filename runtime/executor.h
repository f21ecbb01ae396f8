// Runs one rank of a plan. Create does all set-up: verifies the plan, agrees on it with the other
// ranks, allocates the workspace, looks kernels up, resolves every tile and message. Forward and
// Backward only launch: they allocate nothing, plan nothing, and wait only where the program says
// so.

#ifndef FLASHCP_RUNTIME_EXECUTOR_H_
#define FLASHCP_RUNTIME_EXECUTOR_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/device.h"
#include "runtime/plan/plan.h"
#include "runtime/transport.h"

namespace flashcp {

// The caller's tensors, contiguous, rows in the order of the plan's layout for this rank. They
// belong to the caller and must not overlap.
struct ForwardTensors {
  const void* query;  // [tokens, query heads, dim] of the plan's dtype
  const void* key;    // [tokens, key/value heads, dim] of the plan's dtype
  const void* value;  // [tokens, key/value heads, dim] of the plan's dtype
  void* output;       // [tokens, query heads, dim] of the plan's dtype
  float* lse;         // [tokens, query heads], natural log
  // Where forward leaves rows of other ranks that backward does not ask for again: saved_bytes of
  // the rank's plan, aligned to 64 bytes; may be null where that is 0.
  void* saved = nullptr;
};

// The tensors of a backward pass, by the same rules. The first six and `saved` are as the forward
// pass took and left them.
struct BackwardTensors {
  const void* query;
  const void* key;
  const void* value;
  const void* output;
  const float* lse;
  const void* saved;
  const void* output_gradient;  // [tokens, query heads, dim] of the plan's dtype
  void* query_gradient;         // [tokens, query heads, dim] of the plan's dtype
  void* key_gradient;           // [tokens, key/value heads, dim] of the plan's dtype
  void* value_gradient;         // [tokens, key/value heads, dim] of the plan's dtype
};

struct ExecutorOptions {
  absl::Duration timeout = absl::Seconds(60);  // of every wait for another rank
  bool backward = true;                        // false: Forward only, with less workspace
};

class Executor {
 public:
  // All ranks call Create, then Forward, the same number of times. transport and device are
  // borrowed and outlive the executor. InvalidArgument for a rank or a number of ranks that the
  // plan does not have; FailedPrecondition for a plan that breaks a rule, or that is not the plan
  // of every rank (naming both ranks and hashes). Where it fails, the other ranks are ended too.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const Plan& plan, int rank,
                                                          Transport* transport, Device* device,
                                                          const ExecutorOptions& options = {});
  virtual ~Executor() = default;

  // Exact attention of this rank's queries over all keys that the masks allow. Where it fails, the
  // other ranks are ended too (Transport::Abort), and the error names rank, stage and peer.
  virtual absl::Status Forward(const ForwardTensors& tensors) = 0;

  // The gradients of Q, K and V of this rank, which sum what all queries of all ranks give to them,
  // in an order that the plan fixes: the same bits in every run. All ranks call it, as Forward.
  // FailedPrecondition where the executor was made without.
  virtual absl::Status Backward(const BackwardTensors& tensors) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_EXECUTOR_H_
