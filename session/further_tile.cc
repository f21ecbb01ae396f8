// Runs the same documents with their keys whole and in parts. Documents are short and parts many,
// so that what a part adds is much of the time; a run takes a few milliseconds, so that other
// programs leave some runs alone.

#include "session/further_tile.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/cpu/cpu_device.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"

namespace flashcp::session {
namespace {

constexpr int kDocuments = 2;
constexpr int kTokens = 256;  // of a document; every query sees all of its keys
constexpr int kParts = 4;
constexpr int kRuns = 100;  // of each kind, in turn; the fastest counts

// The documents of one rank on a device of its own.
class Documents {
 public:
  static absl::StatusOr<std::unique_ptr<Documents>> Create(const CalibrationRequest& request) {
    std::unique_ptr<Documents> documents(new Documents(request));
    RETURN_IF_ERROR(documents->Prepare(request));
    return documents;
  }

  // Returns how long forward takes, in microseconds.
  absl::StatusOr<double> Run(bool in_parts) {
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t part = 0; part < (in_parts ? kParts : 1); ++part) {
      const uint32_t begin = in_parts ? (1 + part) * kDocuments : 0;
      RETURN_IF_ERROR(
          tables_->Enqueue({Launch::Kind::kAttend, begin, begin + kDocuments}, bases_, nullptr));
    }
    const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - start;
    return us.count();
  }

 private:
  enum Buffer : uint32_t { kQuery, kKey, kValue, kOutput, kLse, kAccumulator, kBuffers };

  explicit Documents(const CalibrationRequest& request)
      : device_(CreateCpuDevice({request.threads})) {}

  absl::Status Prepare(const CalibrationRequest& request) {
    const int query_heads = request.heads.query / request.heads.key_value;
    const int dim = request.heads.dim;
    const KernelSpec spec = {request.dtype, query_heads, 1,
                             dim,           dim,         1 / std::sqrt(static_cast<float>(dim))};
    ASSIGN_OR_RETURN(kernels_, device_->FindKernels(spec));
    LaunchTables tables;
    const uint64_t element = BytesPerElement(request.dtype);
    tables.row_bytes.resize(kBuffers);
    tables.row_bytes[kQuery] = tables.row_bytes[kOutput] = query_heads * dim * element;
    tables.row_bytes[kKey] = tables.row_bytes[kValue] = dim * element;
    tables.row_bytes[kLse] = query_heads * sizeof(float);
    tables.row_bytes[kAccumulator] = query_heads * dim * sizeof(float);
    for (uint64_t row_bytes : tables.row_bytes) {
      const size_t bytes = row_bytes * kTokens * kDocuments;
      ASSIGN_OR_RETURN(DeviceMemory memory, device_->Allocate(bytes));
      std::memset(memory.get(), 0, bytes);
      bases_.push_back(memory.get());
      memory_.push_back(std::move(memory));
    }
    AddTiles(query_heads, 0, 1, &tables);
    for (int part = 0; part < kParts; ++part) AddTiles(query_heads, part, kParts, &tables);
    ASSIGN_OR_RETURN(tables_, kernels_->Upload(std::move(tables)));
    return absl::OkStatus();
  }

  // Adds the tiles of one part of the keys of all documents.
  void AddTiles(int query_heads, int part, int parts, LaunchTables* tables) const {
    const uint32_t keys = kTokens / parts;
    for (int document = 0; document < kDocuments; ++document) {
      const uint32_t row = document * kTokens;
      const uint32_t key_row = row + part * keys;
      tables->forward.push_back({{kQuery, row},
                                 {kKey, key_row},
                                 {kValue, key_row},
                                 {kOutput, row},
                                 {kLse, row},
                                 {kAccumulator, row},
                                 /*query_position=*/0,
                                 /*key_position=*/part * keys,
                                 kTokens,
                                 keys,
                                 model::Band(),
                                 /*head_begin=*/0,
                                 query_heads,
                                 /*first=*/part == 0,
                                 /*last=*/part + 1 == parts});
    }
  }

  std::unique_ptr<Device> device_;
  std::shared_ptr<AttentionKernels> kernels_;
  std::unique_ptr<DeviceTables> tables_;
  std::vector<DeviceMemory> memory_;
  std::vector<char*> bases_;
};

}  // namespace

absl::StatusOr<double> FurtherTileUs(const CalibrationRequest& request, int block_rows) {
  const absl::Duration timeout = absl::Seconds(60);
  double fastest_us[2] = {};  // whole, in parts; of rank 0
  RETURN_IF_ERROR(RunThreads(request.ranks, [&](Transport* transport) -> absl::Status {
    ASSIGN_OR_RETURN(std::unique_ptr<Documents> documents, Documents::Create(request));
    for (int run = 0; run < kRuns; ++run) {
      for (bool in_parts : {false, true}) {
        RETURN_IF_ERROR(transport->AllGather(0, timeout).status());
        ASSIGN_OR_RETURN(const double us, documents->Run(in_parts));
        if (transport->rank() > 0) continue;
        double& fastest = fastest_us[in_parts];
        fastest = run == 0 ? us : std::min(fastest, us);
      }
    }
    return absl::OkStatus();
  }));
  const double blocks = kDocuments * ((kTokens + block_rows - 1) / block_rows);
  const double heads = request.heads.query / request.heads.key_value * request.heads.dim / 128.0;
  return std::max(0.0, (fastest_us[1] - fastest_us[0]) / ((kParts - 1) * blocks * heads));
}

}  // namespace flashcp::session
