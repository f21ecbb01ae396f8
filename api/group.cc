// Groups in C. A transport and a device belong to a rank; executors of several plans share them.

#include "api/group.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/join_mpi.h"
#include "api/load_mpi.h"
#include "api/status.h"
#include "runtime/plan/plan.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

constexpr int kMaxComputeThreads = 1024;

// Reads the options of a caller, which may be of an older version and then shorter.
absl::StatusOr<GroupSettings> ReadSettings(const flashcp_group_options* given) {
  flashcp_group_options options = {};
  if (given != nullptr) {
    if (given->struct_size < offsetof(flashcp_group_options, compute_threads)) {
      return absl::InvalidArgumentError(absl::StrCat("struct_size is ", given->struct_size,
                                                     ": must be sizeof(flashcp_group_options), ",
                                                     sizeof(options)));
    }
    std::memcpy(&options, given, std::min(sizeof(options), given->struct_size));
  }
  GroupSettings settings;
  if (options.compute_threads < 0 || options.compute_threads > kMaxComputeThreads) {
    return absl::InvalidArgumentError(absl::StrCat("compute_threads is ", options.compute_threads,
                                                   ": must be from 0 to ", kMaxComputeThreads));
  }
  settings.device.threads = std::max(options.compute_threads, 1);
  if (options.kernels != nullptr) settings.device.kernels = options.kernels;
  if (std::isnan(options.timeout_s)) return absl::InvalidArgumentError("timeout_s is not a number");
  if (options.timeout_s > 0) settings.timeout = absl::Seconds(options.timeout_s);
  if (options.timeout_s < 0) settings.timeout = absl::InfiniteDuration();
  return settings;
}

absl::Status MakeThreads(int ranks, const flashcp_group_options* options, flashcp_group** group) {
  ASSIGN_OR_RETURN(GroupSettings settings, ReadSettings(options));
  if (ranks < 1 || ranks > kMaxPlanRanks) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks are ", ranks, ": must be from 1 to ", kMaxPlanRanks));
  }
  *group = new flashcp_group{std::make_shared<Group>(ranks, std::move(settings))};
  return absl::OkStatus();
}

absl::Status MakeMpi(const int* communicator, const flashcp_group_options* options,
                     flashcp_group** group) {
  ASSIGN_OR_RETURN(GroupSettings settings, ReadSettings(options));
  ASSIGN_OR_RETURN(const auto join_mpi, LoadMpi());
  JoinMpi join;
  join.communicator = communicator;
  join.timeout = settings.timeout;
  join_mpi(&join);
  ASSIGN_OR_RETURN(std::unique_ptr<Transport> transport, std::move(join.transport));
  *group = new flashcp_group{std::make_shared<Group>(std::move(transport), std::move(settings))};
  return absl::OkStatus();
}

}  // namespace

Group::Group(int ranks, GroupSettings settings)
    : settings_(std::move(settings)),
      threads_(std::make_unique<ThreadsGroup>(ranks)),
      members_(ranks),
      first_rank_(0),
      size_(ranks) {
  for (int rank = 0; rank < ranks; ++rank) members_[rank].transport = threads_->MakeTransport(rank);
}

Group::Group(std::unique_ptr<Transport> transport, GroupSettings settings)
    : settings_(std::move(settings)),
      members_(1),
      first_rank_(transport->rank()),
      size_(transport->size()) {
  members_[0].transport = std::move(transport);
}

absl::Status Group::CheckRank(int rank) const {
  if (threads_ != nullptr && rank >= 0 && rank < size_) return absl::OkStatus();
  if (threads_ == nullptr && rank == first_rank_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("rank ", rank, ": this process has ",
                                                 threads_ != nullptr
                                                     ? absl::StrCat("ranks 0 to ", size_ - 1)
                                                     : absl::StrCat("rank ", first_rank_),
                                                 " of the group"));
}

absl::StatusOr<Group::Member*> Group::Join(int rank) {
  RETURN_IF_ERROR(CheckRank(rank));
  Member& member = members_[rank - first_rank_];
  if (member.device == nullptr) member.device = CreateCpuDevice(settings_.device);
  return &member;
}

RankCall::RankCall(Group::Member* member, int rank) : member_(*member) {
  if (!member_.in_call.exchange(true)) return;
  status_ = absl::FailedPreconditionError(
      absl::StrCat("rank ", rank, " is in a call of another thread: one at a time"));
}

RankCall::~RankCall() {
  if (status_.ok()) member_.in_call = false;
}

absl::Status Group::Abort(int rank, const absl::Status& reason) {
  RETURN_IF_ERROR(CheckRank(rank));
  if (threads_ != nullptr) {
    threads_->Abort(rank, reason);
  } else {
    members_[0].transport->Abort(reason);
  }
  return absl::OkStatus();
}

}  // namespace flashcp::capi

using flashcp::capi::Clear;
using flashcp::capi::Guarded;

extern "C" {

flashcp_status flashcp_group_threads(int ranks, const flashcp_group_options* options,
                                     flashcp_group** group) {
  Clear(group);
  return Guarded(__func__, {{"group", group}},
                 [&] { return flashcp::capi::MakeThreads(ranks, options, group); });
}

flashcp_status flashcp_group_mpi(const int* communicator, const flashcp_group_options* options,
                                 flashcp_group** group) {
  Clear(group);
  return Guarded(__func__, {{"group", group}},
                 [&] { return flashcp::capi::MakeMpi(communicator, options, group); });
}

int flashcp_group_size(const flashcp_group* group) {
  return group != nullptr ? group->group->size() : 0;
}

int flashcp_group_rank(const flashcp_group* group) {
  return group != nullptr ? group->group->rank() : -1;
}

flashcp_status flashcp_group_abort(flashcp_group* group, int rank, const char* reason) {
  return Guarded(__func__, {{"group", group}, {"reason", reason}},
                 [&] { return group->group->Abort(rank, absl::AbortedError(reason)); });
}

void flashcp_group_destroy(flashcp_group* group) { delete group; }

}  // extern "C"
