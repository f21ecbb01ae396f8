// Blocks longer than MPI can count are several pieces of one datatype.

#include "runtime/mpi/mpi_message.h"

#include <algorithm>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace flashcp {
namespace {

constexpr uint64_t kMostBytesOfAPiece = uint64_t{1} << 30;  // MPI counts are int

}  // namespace

absl::Status MpiStatus(int code, const char* call) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return absl::InternalError(
      absl::StrCat("MPI failed: ", absl::string_view(text, length), " (in ", call, ")"));
}

absl::Status MpiRuns::Check(const Message& message) {
  constexpr uint64_t kMost = std::numeric_limits<int>::max();
  for (const MessageRun& run : message.runs) {
    if (run.count == 1 || (run.count <= kMost && run.size <= kMost)) continue;
    return absl::InvalidArgumentError(absl::StrCat(run.count, " blocks of ", run.size,
                                                   " bytes: MPI allows ", kMost, " of ", kMost));
  }
  return absl::OkStatus();
}

MpiRuns::MpiRuns(const Message& message) {
  for (const MessageRun& run : message.runs) {
    if (run.size == 0) continue;
    const auto found = std::find(buffers_.begin(), buffers_.end(), run.buffer);
    const size_t buffer = found - buffers_.begin();
    if (found == buffers_.end()) buffers_.push_back(run.buffer);
    if (run.count > 1) {
      pieces_.push_back({buffer, run.offset, static_cast<int>(run.size),
                         static_cast<int>(run.count), static_cast<MPI_Aint>(run.stride)});
      continue;
    }
    for (uint64_t begin = 0; begin < run.size; begin += kMostBytesOfAPiece) {
      pieces_.push_back({buffer, run.offset + begin,
                         static_cast<int>(std::min(kMostBytesOfAPiece, run.size - begin)), 1, 0});
    }
  }
  now_.resize(buffers_.size());
}

// MPI keeps a freed type for the messages that are under way.
MpiRuns::~MpiRuns() {
  if (type_ != MPI_DATATYPE_NULL) MPI_Type_free(&type_);
}

absl::StatusOr<MpiMessage> MpiRuns::At(BufferBases bases) {
  if (pieces_.empty()) return MpiMessage{nullptr, 0, MPI_BYTE};
  char* const base = bases[buffers_[0]];
  if (pieces_.size() == 1 && pieces_[0].count == 1) {
    return MpiMessage{base + pieces_[0].offset, pieces_[0].size, MPI_BYTE};
  }
  for (size_t b = 0; b < buffers_.size(); ++b) {
    now_[b] = reinterpret_cast<MPI_Aint>(bases[buffers_[b]]) - reinterpret_cast<MPI_Aint>(base);
  }
  if (type_ == MPI_DATATYPE_NULL || now_ != distances_) {
    distances_ = now_;
    RETURN_IF_ERROR(MakeType());
  }
  return MpiMessage{base, 1, type_};
}

absl::Status MpiRuns::MakeType() {
  if (type_ != MPI_DATATYPE_NULL) RETURN_IF_MPI_ERROR(MPI_Type_free(&type_));
  std::vector<int> counts;
  std::vector<MPI_Aint> displacements;
  std::vector<MPI_Datatype> types;
  for (const Piece& piece : pieces_) {
    const bool one = piece.count == 1;
    counts.push_back(one ? piece.size : 1);
    displacements.push_back(distances_[piece.buffer] + static_cast<MPI_Aint>(piece.offset));
    types.push_back(MPI_BYTE);
    if (one) continue;
    RETURN_IF_MPI_ERROR(
        MPI_Type_create_hvector(piece.count, piece.size, piece.stride, MPI_BYTE, &types.back()));
  }
  RETURN_IF_MPI_ERROR(MPI_Type_create_struct(types.size(), counts.data(), displacements.data(),
                                             types.data(), &type_));
  for (MPI_Datatype& type : types) {
    if (type != MPI_BYTE) RETURN_IF_MPI_ERROR(MPI_Type_free(&type));
  }
  return MpiStatus(MPI_Type_commit(&type_), "MPI_Type_commit");
}

absl::StatusOr<size_t> ReceivedBytes(const MPI_Status& status) {
  MPI_Count bytes = 0;
  RETURN_IF_MPI_ERROR(MPI_Get_elements_x(&status, MPI_BYTE, &bytes));
  return bytes;
}

}  // namespace flashcp
