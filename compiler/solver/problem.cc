// Decides which problems are fit to plan and which placements solve them.

#include "compiler/solver/problem.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::solver {
namespace {

absl::Status CheckHeads(const HeadShape& heads) {
  if (heads.query < 1 || heads.query > kMaxHeads) {
    return absl::InvalidArgumentError(
        absl::StrCat("query heads are ", heads.query, ": must be from 1 to ", kMaxHeads));
  }
  if (heads.key_value < 1 || heads.query % heads.key_value != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("query heads are ", heads.query, ", KV heads ", heads.key_value,
                     ": query heads must be a positive multiple of KV heads"));
  }
  if (heads.dim < 8 || heads.dim > 256 || heads.dim % 8 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("head dim is ", heads.dim, ": must be from 8 to 256 in steps of 8"));
  }
  return absl::OkStatus();
}

absl::Status CheckDocument(const Document& document) {
  if (document.length < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("length is ", document.length, ": must be 0 or above"));
  }
  const model::Band& band = document.mask.band();
  if (band.lower > band.upper || band.lower == model::Band::kNoUpper ||
      band.upper == model::Band::kNoLower) {
    return absl::InvalidArgumentError(
        absl::StrCat("mask is ", model::MaskText(document.mask),
                     ": must show pairs, with a lower limit of at most the upper one"));
  }
  return absl::OkStatus();
}

// Documents one by one, and their total without overflow.
absl::Status CheckDocuments(const std::vector<Document>& documents) {
  int64_t room = kMaxTokens;
  for (size_t d = 0; d < documents.size(); ++d) {
    absl::Status status = CheckDocument(documents[d]);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("document ", d, ": ", status.message()));
    }
    if (documents[d].length > room) {
      return absl::InvalidArgumentError(absl::StrCat(
          "document ", d, ": length ", documents[d].length, " after ", kMaxTokens - room,
          " tokens: a batch holds ", "at most ", kMaxTokens, " tokens"));
    }
    room -= documents[d].length;
  }
  return absl::OkStatus();
}

// Segments of one document: a partition in order, without empty ones, neighbours not mergeable.
std::string Describe(const Segment& segment) {
  return absl::StrCat("segment [", segment.begin, ", ", segment.end, ") on rank ", segment.rank,
                      ": ");
}

absl::Status VerifySegments(const std::vector<Segment>& segments, int64_t length, int ranks) {
  int64_t position = 0;
  int previous = -1;
  for (const Segment& segment : segments) {
    if (segment.begin != position || segment.end <= segment.begin || segment.end > length) {
      return absl::InternalError(absl::StrCat(Describe(segment), "must begin at ", position,
                                              " and end behind that, at most at ", length));
    }
    if (segment.rank < 0 || segment.rank >= ranks) {
      return absl::InternalError(absl::StrCat(Describe(segment), "there are ", ranks, " ranks"));
    }
    if (segment.rank == previous) {
      return absl::InternalError(
          absl::StrCat(Describe(segment), "must be one with the segment before it"));
    }
    position = segment.end;
    previous = segment.rank;
  }
  if (position != length) {
    return absl::InternalError(
        absl::StrCat("segments end at ", position, ": must end at its length, ", length));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t Problem::KeyValueBytesPerToken() const {
  return int64_t{2} * heads.key_value * heads.dim * BytesPerElement(dtype);
}

int64_t Problem::TotalTokens() const {
  int64_t total = 0;
  for (const Document& document : documents) total += document.length;
  return total;
}

int64_t Problem::TokenCap() const {
  int64_t total = TotalTokens();
  if (slack_percent == 0) return (total + ranks - 1) / ranks;
  // Multiplied before it is divided: whole percents of whole tokens come out exact.
  return static_cast<int64_t>(std::ceil(total * (100 + slack_percent) / (100.0 * ranks)));
}

absl::Status Problem::Check() const {
  if (ranks < 1 || ranks > kMaxRanks) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks are ", ranks, ": must be from 1 to ", kMaxRanks));
  }
  RETURN_IF_ERROR(CheckHeads(heads));
  if (!(slack_percent >= 0 && slack_percent <= 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("slack is ", slack_percent, " percent: must be from 0 to 100"));
  }
  RETURN_IF_ERROR(CheckDocuments(documents));
  return cluster.Check();
}

std::vector<int64_t> Placement::TokensPerRank(int ranks) const {
  std::vector<int64_t> tokens(ranks);
  for (const std::vector<Segment>& segments : documents) {
    for (const Segment& segment : segments) tokens[segment.rank] += segment.end - segment.begin;
  }
  return tokens;
}

absl::Status Placement::Verify(const Problem& problem) const {
  if (documents.size() != problem.documents.size()) {
    return absl::InternalError(absl::StrCat("placement of ", documents.size(), " documents: must ",
                                            "place ", problem.documents.size()));
  }
  for (size_t d = 0; d < documents.size(); ++d) {
    absl::Status status = VerifySegments(documents[d], problem.documents[d].length, problem.ranks);
    if (!status.ok()) {
      return absl::InternalError(absl::StrCat("placement of document ", d, ": ", status.message()));
    }
  }
  int64_t most = problem.TokenCap();
  int64_t least = problem.slack_percent == 0 ? problem.TotalTokens() / problem.ranks : 0;
  std::vector<int64_t> tokens = TokensPerRank(problem.ranks);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    if (tokens[rank] < least || tokens[rank] > most) {
      return absl::InternalError(absl::StrCat("placement gives rank ", rank, " ", tokens[rank],
                                              " tokens: must be from ", least, " to ", most));
    }
  }
  return absl::OkStatus();
}

}  // namespace flashcp::solver
