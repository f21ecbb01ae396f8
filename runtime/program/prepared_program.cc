// Preparing hands each table to the device and the messages of each step to the transport; what
// runs afterwards is one call a step.

#include "runtime/program/prepared_program.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "support/catch_exceptions.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

// One that throws has failed like one that returns an error: the other ranks must learn of it.
constexpr char kDevice[] = "the device";
constexpr char kTransport[] = "the transport";

std::string DescribeAwaited(int rank, absl::Span<const Message> messages) {
  if (messages.empty()) return " for its device";
  std::set<int> peers;
  for (const Message& message : messages) peers.insert(message.peer);
  const Message& first = messages[0];
  return absl::StrCat(
      " for rank", peers.size() > 1 ? "s " : " ", absl::StrJoin(peers, ", "), ": ",
      DescribeMessage(first.direction, rank, first.peer, PayloadBytes(first), first.tag),
      messages.size() > 1 ? absl::StrCat(", and ", messages.size() - 1, " more messages") : "");
}

}  // namespace

absl::StatusOr<std::unique_ptr<PreparedProgram>> PreparedProgram::Create(const char* pass,
                                                                         BoundProgram program,
                                                                         AttentionKernels* kernels,
                                                                         Transport* transport) {
  auto prepared = std::unique_ptr<PreparedProgram>(
      new PreparedProgram(pass, std::move(program), transport->rank()));
  BoundProgram& bound = prepared->program_;
  ASSIGN_OR_RETURN(prepared->tables_, kernels->Upload(std::move(bound.tables)));
  for (uint32_t step = 0; step < bound.num_steps(); ++step) {
    RETURN_IF_ERROR(prepared->Prepare(step, transport));
  }
  if (bound.num_steps() == 0) prepared->awaited_ = {DescribeAwaited(prepared->rank_, {})};
  for (BoundInstruction& instruction : bound.bound) instruction.messages = {};
  return prepared;
}

// Prepares the exchange of a step, if it is one.
absl::Status PreparedProgram::Prepare(uint32_t step, Transport* transport) {
  const BoundInstruction& bound = program_.bound[program_.IndexOf(step)];
  std::vector<Message> messages = bound.messages;
  for (size_t m = 0; m < messages.size(); ++m) {
    messages[m].tag += program_.RoundOf(step) * bound.round_tags[m];
  }
  awaited_.push_back(DescribeAwaited(rank_, messages));
  exchanges_.emplace_back();
  if (!IsExchange(InstructionOf(step))) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Exchange>> exchange = transport->Prepare(std::move(messages));
  RETURN_IF_ERROR(At(step, exchange.status()));
  exchanges_[step] = *std::move(exchange);
  return absl::OkStatus();
}

absl::Status PreparedProgram::Enqueue(uint32_t step, BufferBases bases, Stream* stream) {
  const BoundInstruction& bound = program_.bound[program_.IndexOf(step)];
  const size_t buffers = bases.size() / program_.rounds;
  const BufferBases now = bases.subspan(program_.RoundOf(step) * buffers, buffers);
  RETURN_IF_ERROR(At(step, EnqueueAll(bound.launches, now, stream)));
  Exchange* const exchange = exchanges_[step].get();
  if (exchange == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(
      At(step, CatchExceptions(kTransport, [&] { return exchange->Start(now, stream); })));
  return At(step, EnqueueAll(bound.unpack, now, stream));
}

absl::Status PreparedProgram::EnqueueAll(absl::Span<const Launch> launches, BufferBases bases,
                                         Stream* stream) {
  for (const Launch& launch : launches) {
    RETURN_IF_ERROR(
        CatchExceptions(kDevice, [&] { return tables_->Enqueue(launch, bases, stream); }));
  }
  return absl::OkStatus();
}

absl::Status PreparedProgram::Wait(uint32_t step, absl::Duration timeout) {
  return At(step, CatchExceptions(kTransport, [&] { return exchanges_[step]->Wait(timeout); }));
}

absl::Status PreparedProgram::At(uint32_t step, const absl::Status& status) const {
  if (status.ok()) return status;
  std::string place = absl::StrCat("rank ", rank_, ", ", pass_);
  if (step < num_steps()) {
    const fbs::Instruction& instruction = InstructionOf(step);
    if (program_.rounds > 1) absl::StrAppend(&place, ", head group ", program_.RoundOf(step));
    absl::StrAppend(&place, ", stage ", instruction.stage(), ", instruction ",
                    program_.IndexOf(step), " (", fbs::EnumNameOpcode(instruction.opcode()), ")");
  }
  return absl::Status(status.code(), absl::StrCat(place, ": ", status.message()));
}

}  // namespace flashcp
