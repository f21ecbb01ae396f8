// Runs one pass of one rank: on the host, or on streams.

#ifndef FLASHCP_RUNTIME_PROGRAM_PASS_RUNNER_H_
#define FLASHCP_RUNTIME_PROGRAM_PASS_RUNNER_H_

#include "absl/status/status.h"
#include "runtime/launch_tables.h"
#include "runtime/stream.h"

namespace flashcp {

class PassRunner {
 public:
  virtual ~PassRunner() = default;

  // Runs the pass on these buffers, of all rounds (RankBuffers::Resolve). `caller`: the stream that
  // the pass is part of; null without streams. Allocates nothing, apart from what later calls use
  // again.
  virtual absl::Status Run(BufferBases bases, Stream* caller) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PROGRAM_PASS_RUNNER_H_
