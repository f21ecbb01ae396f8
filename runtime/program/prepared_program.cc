// Preparing hands each table to the device and each group of messages to the transport; what runs
// afterwards is one call an instruction.

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
  for (uint32_t i = 0; i < bound.instructions.size(); ++i) {
    std::vector<Message>& messages = bound.bound[i].messages;
    prepared->awaited_.push_back(DescribeAwaited(transport->rank(), messages));
    prepared->exchanges_.emplace_back();
    if (!IsExchange(bound.instructions[i])) continue;
    absl::StatusOr<std::unique_ptr<Exchange>> exchange = transport->Prepare(std::move(messages));
    RETURN_IF_ERROR(prepared->At(i, exchange.status()));
    prepared->exchanges_[i] = *std::move(exchange);
  }
  return prepared;
}

absl::Status PreparedProgram::Enqueue(uint32_t index, BufferBases bases, Stream* stream) {
  const BoundInstruction& bound = program_.bound[index];
  RETURN_IF_ERROR(At(index, EnqueueAll(bound.launches, bases, stream)));
  Exchange* const exchange = exchanges_[index].get();
  if (exchange == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(
      At(index, CatchExceptions(kTransport, [&] { return exchange->Start(bases, stream); })));
  return At(index, EnqueueAll(bound.unpack, bases, stream));
}

absl::Status PreparedProgram::EnqueueAll(absl::Span<const Launch> launches, BufferBases bases,
                                         Stream* stream) {
  for (const Launch& launch : launches) {
    RETURN_IF_ERROR(
        CatchExceptions(kDevice, [&] { return tables_->Enqueue(launch, bases, stream); }));
  }
  return absl::OkStatus();
}

absl::Status PreparedProgram::Wait(uint32_t index, absl::Duration timeout) {
  return At(index, CatchExceptions(kTransport, [&] { return exchanges_[index]->Wait(timeout); }));
}

absl::Status PreparedProgram::At(uint32_t index, const absl::Status& status) const {
  if (status.ok()) return status;
  const fbs::Instruction& instruction = program_.instructions[index];
  return absl::Status(status.code(), absl::StrCat("rank ", rank_, ", ", pass_, ", stage ",
                                                  instruction.stage(), ", instruction ", index,
                                                  " (", fbs::EnumNameOpcode(instruction.opcode()),
                                                  "): ", status.message()));
}

}  // namespace flashcp
