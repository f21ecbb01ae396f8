// Runs one rank of a plan. Create does all set-up: verifies the plan, agrees on it with the other
// ranks, allocates the workspace, looks kernels up, makes the tables of tiles and the exchanges.
// Forward and Backward only launch: they allocate nothing and plan nothing. On a device without
// streams they return when the pass is done, and wait only where the program says so; on a device
// with streams they return once the pass is enqueued, and wait for nothing.

#ifndef FLASHCP_RUNTIME_EXECUTOR_H_
#define FLASHCP_RUNTIME_EXECUTOR_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/bytes.h"
#include "runtime/device.h"
#include "runtime/plan/plan.h"
#include "runtime/stream.h"
#include "runtime/trace.h"
#include "runtime/transport.h"

namespace flashcp {

// The caller's tensors: dense, row-major, rows in the order of the plan's layout for this rank.
// They belong to the caller, must not overlap, are aligned as malloc aligns, and have exactly the bytes of their shapes
// (bytes.h). A rank that owns no tokens may leave them out.
struct ForwardTensors {
  ConstBytes query;     // [tokens, query heads, dim] of the plan's dtype
  ConstBytes key;       // [tokens, key/value heads, dim] of the plan's dtype
  ConstBytes value;     // [tokens, key/value heads, dim] of the plan's dtype
  MutableBytes output;  // [tokens, query heads, dim] of the plan's dtype
  MutableBytes lse;     // [tokens, query heads] of f32, natural log
  // Where forward leaves rows of other ranks that backward does not ask for again: saved_bytes of
  // the rank's plan.
  MutableBytes saved = {};
};

// The tensors of a backward pass, by the same rules. The first six are as the forward pass took and
// left them.
struct BackwardTensors {
  ConstBytes query;
  ConstBytes key;
  ConstBytes value;
  ConstBytes output;
  ConstBytes lse;
  ConstBytes saved;
  ConstBytes output_gradient;   // [tokens, query heads, dim] of the plan's dtype
  MutableBytes query_gradient;  // [tokens, query heads, dim] of the plan's dtype
  MutableBytes key_gradient;    // [tokens, key/value heads, dim] of the plan's dtype
  MutableBytes value_gradient;  // [tokens, key/value heads, dim] of the plan's dtype
};

struct ExecutorOptions {
  // Limit of a wait in which the awaited ranks do nothing, as transport.h says. A rank in a
  // call of its executor computes: ranks of one process wait for it however long it takes, forever
  // where a kernel does not end. Between processes the timeout must be longer than the longest
  // computation of a rank that another one waits for.
  absl::Duration timeout = absl::Seconds(60);
  bool backward = true;  // false: Forward only, with less workspace
  bool verify = true;    // false: the plan has passed VerifyPlan, and Create does not ask again
  // Outlives the executor; if given, gets the timeline of each step. On devices without streams.
  RankTrace* trace = nullptr;
};

// Not thread-safe: an executor, its transport and its device belong to one rank and are used by one
// thread. Ranks that are threads of one process may share the Plan, which is only read.
//
// Every rank calls Create once for an executor, then all ranks make the same passes in the same
// order, as often as they like. Several executors may share the transport and the device of a rank:
// one runs at a time, and all ranks create and run them in the same order. Between calls the rank
// has no message open.
//
// Where a call fails on one rank, the group of ranks ends (Transport::Abort): the others fail as
// soon as they wait. The end is final: transports and executors of the group are of no use after
// it. Once a rank has its error, no other rank touches its memory. Create and the passes return,
// besides what they name below:
//   Aborted           another rank failed; names it, with its message
//   DeadlineExceeded  a wait for another rank exceeded `timeout`; the other ranks get it too
//   Cancelled         MpiOptions::stop was set while this rank waited
//   Internal          a call to MPI failed, or a device or transport threw
class Executor {
 public:
  // Waits for the other ranks. transport and device are borrowed and outlive the executor; both
  // have streams, or neither. InvalidArgument if they do not fit each other, for a rank or a number
  // of ranks that the plan does not have, or if the device was told to use kernels that do not run
  // here or not on such a plan; FailedPrecondition for a plan that breaks a rule, or that is not
  // the plan of every rank (naming both ranks and hashes); NotFound if the device has no kernels
  // for the plan; ResourceExhausted if it has no memory for the workspace, or no memory or
  // threads for the kernels.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const Plan& plan, int rank,
                                                          Transport* transport, Device* device,
                                                          const ExecutorOptions& options = {});
  // With streams: waits for what is under way, at most ExecutorOptions::timeout.
  virtual ~Executor() = default;

  // Exact attention of this rank's queries over all keys that the masks allow. Errors of an
  // instruction name rank, head group if there are several, stage, instruction and, if there is
  // one, the peer. InvalidArgument for a tensor or saved memory that is null or of another size
  // than the plan says, and, on all ranks, for messages that do not match since ranks made
  // different calls; otherwise the code that the
  // device or transport returned.
  //
  // `stream`: on a device with streams, the caller's. The pass begins after the work that the
  // stream holds; work that is enqueued on it later begins after the pass; so tensors are given and
  // used by the rules of this stream. Streams of successive calls are ordered by the caller. Null:
  // the pass begins now, after the executor's last one, and Synchronize says when it is done.
  virtual absl::Status Forward(const ForwardTensors& tensors, Stream* stream = nullptr) = 0;

  // The gradients of Q, K and V of this rank, which sum what all queries of all ranks give to them,
  // in an order that the plan fixes: the same bits in every run. Errors as of Forward, and
  // FailedPrecondition if the executor was made without.
  virtual absl::Status Backward(const BackwardTensors& tensors, Stream* stream = nullptr) = 0;

  // Waits until all passes are done. Without streams they are. With streams it returns what went
  // wrong in a pass that was enqueued, which later passes return too, or DeadlineExceeded, naming
  // the first instruction that did not finish, if `timeout` has passed: then all ranks end. Whether
  // anyone waits or not, a pass in which nothing finishes for ExecutorOptions::timeout fails.
  virtual absl::Status Synchronize(absl::Duration timeout = absl::InfiniteDuration()) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_EXECUTOR_H_
