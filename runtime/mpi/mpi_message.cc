#include "runtime/mpi/mpi_message.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace flashcp {
namespace {

constexpr size_t kMostBytesOfABlock = size_t{1} << 30;  // MPI counts are int
constexpr size_t kMostEntries = size_t{1} << 16;

bool SameRuns(absl::Span<const Bytes> a, absl::Span<const Bytes> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Bytes& x, const Bytes& y) {
    return x.data == y.data && x.size == y.size;
  });
}

absl::StatusOr<MPI_Datatype> MakeType(absl::Span<const Bytes> runs) {
  std::vector<int> sizes;
  std::vector<MPI_Aint> addresses;
  for (const Bytes& run : runs) {
    for (size_t begin = 0; begin < run.size; begin += kMostBytesOfABlock) {
      sizes.push_back(static_cast<int>(std::min(kMostBytesOfABlock, run.size - begin)));
      addresses.emplace_back();
      RETURN_IF_MPI_ERROR(MPI_Get_address(run.data + begin, &addresses.back()));
    }
  }
  MPI_Datatype type;
  RETURN_IF_MPI_ERROR(
      MPI_Type_create_hindexed(sizes.size(), sizes.data(), addresses.data(), MPI_BYTE, &type));
  RETURN_IF_MPI_ERROR(MPI_Type_commit(&type));
  return type;
}

}  // namespace

absl::Status MpiStatus(int code, const char* call) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return absl::InternalError(
      absl::StrCat("MPI failed: ", absl::string_view(text, length), " (in ", call, ")"));
}

MpiMessages::~MpiMessages() { Clear(); }

// MPI keeps a freed type for the messages that are under way.
void MpiMessages::Clear() {
  for (auto& [address, entry] : entries_) {
    if (entry.type != MPI_DATATYPE_NULL) MPI_Type_free(&entry.type);
  }
  entries_.clear();
}

absl::StatusOr<MpiMessage> MpiMessages::Of(absl::Span<const Bytes> runs) {
  const Bytes* only = nullptr;
  int filled = 0;
  for (const Bytes& run : runs) {
    if (run.size > 0) only = &run, ++filled;
  }
  if (filled == 0) return MpiMessage{nullptr, 0, MPI_BYTE};
  if (filled == 1 && only->size <= std::numeric_limits<int>::max()) {
    return MpiMessage{only->data, static_cast<int>(only->size), MPI_BYTE};
  }
  if (entries_.size() >= kMostEntries && !entries_.contains(runs.data())) Clear();
  Entry& entry = entries_[runs.data()];
  if (entry.type == MPI_DATATYPE_NULL || !SameRuns(runs, entry.runs)) {
    if (entry.type != MPI_DATATYPE_NULL) RETURN_IF_MPI_ERROR(MPI_Type_free(&entry.type));
    ASSIGN_OR_RETURN(entry.type, MakeType(runs));
    entry.runs.assign(runs.begin(), runs.end());
  }
  return MpiMessage{MPI_BOTTOM, 1, entry.type};
}

absl::StatusOr<size_t> MpiMessages::ReceivedBytes(const MPI_Status& status) {
  MPI_Count bytes = 0;
  RETURN_IF_MPI_ERROR(MPI_Get_elements_x(&status, MPI_BYTE, &bytes));
  return bytes;
}

}  // namespace flashcp
