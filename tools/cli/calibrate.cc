// flashcp calibrate: measures this host and writes a cluster that compile --cluster takes.

#include <algorithm>
#include <string>
#include <thread>

#include "absl/strings/str_format.h"
#include "compiler/input/batch_options.h"
#include "compiler/input/cluster_file.h"
#include "session/calibration.h"
#include "support/files.h"
#include "support/flags.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/fit_report.h"

namespace flashcp::cli {
namespace {

absl::StatusOr<session::CalibrationRequest> RequestOf(const CalibrateFlags& flags) {
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  session::CalibrationRequest request;
  ASSIGN_OR_RETURN(request.threads, IntegerFlag("--threads", flags.threads, kThreads));
  if (flags.ranks.empty()) {
    const int cores = std::max(1u, std::thread::hardware_concurrency());
    request.ranks = std::clamp<int>(cores / request.threads, 1, CalibrateFlags::kRanks.max);
  } else {
    ASSIGN_OR_RETURN(request.ranks, IntegerFlag("--ranks", flags.ranks, CalibrateFlags::kRanks));
  }
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("--", flags.plans));
  request.heads = settings.request.problem.heads;
  request.dtype = settings.request.problem.dtype;
  ASSIGN_OR_RETURN(request.tokens, IntegerFlag("--tokens", flags.tokens, CalibrateFlags::kTokens));
  return request;
}

}  // namespace

absl::Status RunCommand(const CalibrateFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(session::CalibrationRequest request, RequestOf(flags));
  // A bad path is known before the work.
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::Create(flags.output));
  ASSIGN_OR_RETURN(session::Calibration calibration,
                   session::Calibrate(request, [&](int done, int rounds) {
                     console.Progress(absl::StrFormat("round %d of %d", done, rounds));
                   }));
  for (const std::string& line : CalibrationLines(calibration)) console.Note(line);
  RETURN_IF_ERROR(output.Write(ClusterJson(calibration.cluster)));
  return output.Commit();
}

}  // namespace flashcp::cli
