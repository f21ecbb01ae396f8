// flashcp calibrate: measures this host and writes a cluster that compile --cluster takes.

#include <algorithm>
#include <string>
#include <thread>

#include "compiler/input/batch_options.h"
#include "compiler/input/cluster_file.h"
#include "support/files.h"
#include "support/flags.h"
#include "support/status_macros.h"
#include "tools/cli/calibration.h"
#include "tools/cli/commands.h"

namespace flashcp::cli {
namespace {

constexpr int kMostRanks = 1024;

absl::StatusOr<CalibrationRequest> RequestOf(const CalibrateFlags& flags) {
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  CalibrationRequest request;
  ASSIGN_OR_RETURN(request.threads, IntegerFlag("--threads", flags.threads, 1, 1024));
  if (flags.ranks.empty()) {
    const int cores = std::max(1u, std::thread::hardware_concurrency());
    request.ranks = std::clamp(cores / request.threads, 1, kMostRanks);
  } else {
    ASSIGN_OR_RETURN(request.ranks, IntegerFlag("--ranks", flags.ranks, 1, kMostRanks));
  }
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("--", {{"heads", flags.heads},
                                                                   {"head-dim", flags.head_dim},
                                                                   {"dtype", flags.dtype}}));
  request.heads = settings.request.problem.heads;
  request.dtype = settings.request.problem.dtype;
  ASSIGN_OR_RETURN(request.tokens, IntegerFlag("--tokens", flags.tokens, 128, 1 << 20));
  return request;
}

}  // namespace

absl::Status RunCommand(const CalibrateFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(CalibrationRequest request, RequestOf(flags));
  // Before the work: a bad path is known early.
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::Create(flags.output));
  ASSIGN_OR_RETURN(Calibration calibration, Calibrate(request, console));
  RETURN_IF_ERROR(output.Write(ClusterJson(calibration.cluster)));
  return output.Commit();
}

}  // namespace flashcp::cli
