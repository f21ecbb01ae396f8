// Fits, by least squares of relative errors, the time of a block of rows and of one more block of
// keys for it to documents of many lengths. What a further tile takes beyond a block of rows is its
// merge.

#include "session/calibration.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "compiler/compile.h"
#include "runtime/threads/run_threads.h"
#include "session/further_tile.h"
#include "session/ranks.h"
#include "session/tensors.h"
#include "session/timed_run.h"
#include "support/status_macros.h"

namespace flashcp::session {
namespace {

// Kernels waste little on partial blocks, so blocks are small: with 32 rows an eighth of the
// modelled time of documents of some 100 tokens would be that of partial blocks.
constexpr int kBlock = 16;
constexpr int64_t kShortest = 64;  // tokens of a document
constexpr int kIterations = 2;     // the first of them warms caches up
// Rounds of all lengths: another program that runs for some seconds disturbs one round of each
// length.
constexpr int kRounds = 10;
constexpr int kFittedColumns = 1024;

// Returns the lengths of the documents that are measured.
std::vector<int64_t> LengthsUpTo(int64_t tokens) {
  std::vector<int64_t> lengths;
  for (int64_t length = kShortest; length < tokens; length *= 2) lengths.push_back(length);
  lengths.push_back(tokens);
  return lengths;
}

// Makes a plan in which every rank holds whole documents of one length, and nothing moves.
absl::StatusOr<Plan> PlanOf(const CalibrationRequest& request, int64_t length) {
  CompileRequest compile;
  compile.strategy = "whole-doc";
  solver::Problem& problem = compile.problem;
  problem.ranks = request.ranks;
  problem.heads = request.heads;
  problem.heads.query = request.heads.query / request.heads.key_value;
  problem.heads.key_value = 1;
  problem.dtype = request.dtype;
  ASSIGN_OR_RETURN(problem.cluster, model::ClusterPreset("cpu"));
  problem.documents.assign(request.ranks * (request.tokens / length), {length, {}});
  return Compiler().Compile(compile);
}

absl::StatusOr<CalibrationPoint> MeasurePoint(const CalibrationRequest& request, int64_t length) {
  ASSIGN_OR_RETURN(Plan plan, PlanOf(request, length));
  RunOptions options;
  options.iterations = kIterations;
  options.backward = true;
  options.device.threads = request.threads;
  BatchTensors batch = RandomTensors(plan, /*seed=*/0, options.backward);
  const std::unique_ptr<Ranks> ranks = MakeThreadRanks();
  ASSIGN_OR_RETURN(Measured measured, TimedRun(plan, options, ranks.get(), &batch));
  // The share of one document and one head of dimension 128.
  const double share =
      1e3 / (request.tokens / length) / (plan->heads()->query() * request.heads.dim / 128.0);
  return CalibrationPoint{length, measured.times.forward.front() * share,
                          measured.times.backward.front() * share};
}

// Blocks of rows of a causal document, and pairs of a block of rows and a block of keys.
struct Blocks {
  double rows, keys;
};

Blocks BlocksOf(int64_t length) {
  const double rows = (length + kBlock - 1) / kBlock;
  return {rows, rows * (rows + 1) / 2};
}

// The times of a block of rows, and of one more block of keys for it.
struct Fit {
  double row_us = 0, key_us = 0;

  double Of(int64_t length) const {
    const Blocks blocks = BlocksOf(length);
    return blocks.rows * row_us + blocks.keys * key_us;
  }
};

// Minimises the sum of squared relative errors; neither time is negative.
Fit FitTo(const std::vector<CalibrationPoint>& points, double CalibrationPoint::*time) {
  double rr = 0, rk = 0, kk = 0, r = 0, k = 0;
  for (const CalibrationPoint& point : points) {
    const Blocks blocks = BlocksOf(point.length);
    const double rows = blocks.rows / (point.*time), keys = blocks.keys / (point.*time);
    rr += rows * rows, rk += rows * keys, kk += keys * keys, r += rows, k += keys;
  }
  const double determinant = rr * kk - rk * rk;
  const Fit fit = {(r * kk - k * rk) / determinant, (k * rr - r * rk) / determinant};
  if (fit.row_us < 0) return {0, k / kk};
  if (fit.key_us < 0) return {r / rr, 0};
  return fit;
}

model::TileTable TilesOf(const Fit& forward, const Fit& backward) {
  model::TileTable tiles;
  tiles.block_rows = tiles.block_columns = kBlock;
  for (int blocks : {1, kFittedColumns}) {
    tiles.columns.push_back(blocks * kBlock);
    tiles.forward_us.push_back(forward.row_us + blocks * forward.key_us);
    tiles.backward_us.push_back(backward.row_us + blocks * backward.key_us);
  }
  return tiles;
}

// Returns the time of the fastest of some messages of `bytes` bytes from rank 0 to rank 1, in
// microseconds.
absl::StatusOr<double> MessageUs(size_t bytes) {
  constexpr int kMessages = 20;
  const absl::Duration timeout = absl::Seconds(60);
  double fastest_us = 0;
  RETURN_IF_ERROR(RunThreads(2, [&](Transport* transport) -> absl::Status {
    std::vector<char> memory(bytes, 1);
    const int rank = transport->rank();
    const Message message = {rank == 0 ? Message::Direction::kSend : Message::Direction::kReceive,
                             1 - rank,
                             /*tag=*/0,
                             {{0, 0, bytes}}};
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare({message}));
    char* const bases[] = {memory.data()};
    for (int i = 0; i < kMessages; ++i) {
      RETURN_IF_ERROR(transport->AllGather(0, timeout).status());
      const auto start = std::chrono::steady_clock::now();
      RETURN_IF_ERROR(exchange->Start(bases, nullptr));
      RETURN_IF_ERROR(exchange->Wait(timeout));
      const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - start;
      if (rank == 1 && (i == 0 || us.count() < fastest_us)) fastest_us = us.count();
    }
    return absl::OkStatus();
  }));
  return fastest_us;
}

absl::StatusOr<model::LinkClass> MeasureLink() {
  constexpr size_t kSmall = 64, kLarge = 8 << 20;
  ASSIGN_OR_RETURN(const double small_us, MessageUs(kSmall));
  ASSIGN_OR_RETURN(const double large_us, MessageUs(kLarge));
  return model::LinkClass{kLarge / std::max(large_us - small_us, 1e-3), small_us};
}

// Measures all lengths once more, and keeps the faster time of each.
absl::Status MeasureRound(const CalibrationRequest& request,
                          std::vector<CalibrationPoint>* points) {
  size_t next = 0;
  for (int64_t length : LengthsUpTo(request.tokens)) {
    ASSIGN_OR_RETURN(CalibrationPoint point, MeasurePoint(request, length));
    if (next == points->size()) points->push_back(point);
    CalibrationPoint& best = (*points)[next++];
    best.forward_us = std::min(best.forward_us, point.forward_us);
    best.backward_us = std::min(best.backward_us, point.backward_us);
  }
  return absl::OkStatus();
}

std::string ClusterName(const CalibrationRequest& request) {
  return absl::StrFormat(
      "calibrated cpu: ranks %d, threads %d, %s, query heads for each of K/V %d, dimension %d",
      request.ranks, request.threads, model::NameOf(request.dtype),
      request.heads.query / request.heads.key_value, request.heads.dim);
}

}  // namespace

absl::StatusOr<Calibration> Calibrate(const CalibrationRequest& request,
                                      const RoundObserver& observer) {
  Calibration calibration;
  for (int round = 0; round < kRounds; ++round) {
    RETURN_IF_ERROR(MeasureRound(request, &calibration.points));
    if (observer) observer(round + 1, kRounds);
  }
  const Fit forward = FitTo(calibration.points, &CalibrationPoint::forward_us);
  const Fit backward = FitTo(calibration.points, &CalibrationPoint::backward_us);
  for (CalibrationPoint& point : calibration.points) {
    point.fitted_forward_us = forward.Of(point.length);
    point.fitted_backward_us = backward.Of(point.length);
  }
  model::Cluster& cluster = calibration.cluster;
  cluster.name = ClusterName(request);
  cluster.ranks = request.ranks;
  cluster.ranks_per_node = model::kMaxRanks;
  ASSIGN_OR_RETURN(cluster.intra_node, MeasureLink());
  cluster.inter_node = cluster.intra_node;
  cluster.tiles = TilesOf(forward, backward);
  ASSIGN_OR_RETURN(const double further_us, FurtherTileUs(request, kBlock));
  cluster.tiles.merge_us = std::max(0.0, further_us - forward.row_us);
  const absl::Status fit = cluster.Check();
  if (fit.ok()) return calibration;
  return absl::InternalError(
      absl::StrCat("what was measured makes no cluster: ", fit.message(),
                   "; other programs may have disturbed it, so try again or with more tokens"));
}

}  // namespace flashcp::session
