// The runs of messages: neighbours are joined, and if a transport wants each message in one block,
// launches pack it into staging memory and unpack what has arrived.

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/program/bound_program.h"

namespace flashcp {

std::vector<uint32_t> CountTags(const fbs::Program& program) {
  std::map<std::pair<fbs::Direction, uint32_t>, uint32_t> counts;
  const auto messages = Items(program.messages());
  for (const fbs::Message& message : messages) ++counts[{message.direction(), message.peer()}];
  std::vector<uint32_t> tags;
  for (const fbs::Message& message : messages) {
    tags.push_back(counts[{message.direction(), message.peer()}]);
  }
  return tags;
}

void AddRun(MessageRun run, Message* message) {
  if (run.count == 1 || run.stride == run.size) {
    run = {run.buffer, run.offset, run.size * run.count};
    MessageRun* const last = message->runs.empty() ? nullptr : &message->runs.back();
    if (last != nullptr && last->count == 1 && last->buffer == run.buffer &&
        last->offset + last->size == run.offset) {
      last->size += run.size;
      return;
    }
  }
  message->runs.push_back(run);
}

void AddPart(const RankBuffers& buffers, const fbs::Program& program, const fbs::Part& part,
             Message* message) {
  const uint64_t row_bytes = buffers.RowBytes(part.buffer());
  const uint64_t head_bytes = buffers.HeadBytes(part.buffer());
  const uint64_t size = (part.head_end() - part.head_begin()) * head_bytes;
  for (uint32_t s = part.slice_begin(); s < part.slice_end(); ++s) {
    const fbs::Slice& slice = Items(program.slices())[s];
    AddRun({part.buffer(), slice.begin() * row_bytes + part.head_begin() * head_bytes, size,
            slice.count(), row_bytes},
           message);
  }
}

uint64_t PackMessages(const RankBuffers& buffers, BoundProgram* program) {
  std::vector<MoveEntry>& moves = program->tables.moves;
  uint64_t most = 0;
  for (BoundInstruction& bound : program->bound) {
    if (bound.messages.empty()) continue;
    uint64_t used = 0;
    auto pack = [&](Message::Direction direction, std::vector<Launch>* launches) {
      const size_t begin = moves.size();
      for (Message& message : bound.messages) {
        if (message.direction != direction || IsOneBlock(message)) continue;
        const uint64_t first = used;
        for (const MessageRun& run : message.runs) {
          MoveEntry move = {{run.buffer, run.offset},
                            {buffers.staging(), used},
                            run.size,
                            run.count,
                            run.stride,
                            run.size};
          if (direction == Message::Direction::kReceive) {
            std::swap(move.source, move.target);
            std::swap(move.source_stride, move.target_stride);
          }
          moves.push_back(move);
          used += run.size * run.count;
        }
        message.runs = {{buffers.staging(), first, used - first}};
      }
      *launches = Launches(Launch::Kind::kCopy, begin, moves.size());
    };
    pack(Message::Direction::kSend, &bound.launches);
    pack(Message::Direction::kReceive, &bound.unpack);
    most = std::max(most, used);
  }
  return most;
}

}  // namespace flashcp
