// The structs of flashcp_tables.h, field by field: each field of a row of plan.fbs has a number of
// its own, which the C struct must show under the same name.

#include <cstring>

#include "flashcp_tables.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan_generated.h"

namespace flashcp {
namespace {

// Reads the bytes of a row as the C struct.
template <typename Row, typename FbsRow>
Row As(const FbsRow& row) {
  static_assert(sizeof(Row) == sizeof(FbsRow));
  Row copy;
  std::memcpy(&copy, &row, sizeof(copy));
  return copy;
}

TEST(TablesTest, Band) {
  const auto row = As<flashcp_band>(fbs::Band(-1, 2));
  EXPECT_EQ(row.lower, -1);
  EXPECT_EQ(row.upper, 2);
}

TEST(TablesTest, Document) {
  const auto row = As<flashcp_document_row>(fbs::Document(1, fbs::Band(-2, 3)));
  EXPECT_EQ(row.length, 1);
  EXPECT_EQ(row.band.lower, -2);
  EXPECT_EQ(row.band.upper, 3);
}

TEST(TablesTest, TokenRange) {
  const auto row = As<flashcp_token_range>(fbs::TokenRange(1, 2, 3));
  EXPECT_EQ(row.document, 1);
  EXPECT_EQ(row.begin, 2);
  EXPECT_EQ(row.end, 3);
}

TEST(TablesTest, Buffer) {
  const auto row =
      As<flashcp_buffer>(fbs::Buffer(1, 2, 3, 4, fbs::BufferKind::remote_key, fbs::DType::f16, 7));
  EXPECT_EQ(row.offset, 1);
  EXPECT_EQ(row.rows, 2);
  EXPECT_EQ(row.heads, 3);
  EXPECT_EQ(row.dim, 4);
  EXPECT_EQ(row.kind, FLASHCP_BUFFER_REMOTE_KEY);
  EXPECT_EQ(row.dtype, 2);
  EXPECT_EQ(row.places, 7);
}

TEST(TablesTest, SlicePartMessage) {
  const auto slice = As<flashcp_slice>(fbs::Slice(1, 2));
  EXPECT_EQ(slice.begin, 1);
  EXPECT_EQ(slice.count, 2);
  const auto part = As<flashcp_part>(fbs::Part(1, 2, 3, 4, 5, true));
  EXPECT_EQ(part.buffer, 1);
  EXPECT_EQ(part.head_begin, 2);
  EXPECT_EQ(part.head_end, 3);
  EXPECT_EQ(part.slice_begin, 4);
  EXPECT_EQ(part.slice_end, 5);
  EXPECT_EQ(part.saved, 1);
  const auto message = As<flashcp_message>(fbs::Message(1, 2, 3, 4, 5, fbs::Direction::receive));
  EXPECT_EQ(message.bytes, 1);
  EXPECT_EQ(message.peer, 2);
  EXPECT_EQ(message.tag, 3);
  EXPECT_EQ(message.part_begin, 4);
  EXPECT_EQ(message.part_end, 5);
  EXPECT_EQ(message.direction, FLASHCP_RECEIVE);
}

TEST(TablesTest, Tile) {
  const auto row = As<flashcp_tile>(fbs::Tile(1, 2, 3, 4, 5, fbs::Band(-6, 7), 8, 9, 10, 11, 12, 13,
                                              14, 15, 16, 17, 18, true, false));
  EXPECT_EQ(row.document, 1);
  EXPECT_EQ(row.query_position, 2);
  EXPECT_EQ(row.query_count, 3);
  EXPECT_EQ(row.key_position, 4);
  EXPECT_EQ(row.key_count, 5);
  EXPECT_EQ(row.band.lower, -6);
  EXPECT_EQ(row.band.upper, 7);
  EXPECT_EQ(row.query_row, 8);
  EXPECT_EQ(row.key_row, 9);
  EXPECT_EQ(row.accumulator_row, 10);
  EXPECT_EQ(row.head_begin, 11);
  EXPECT_EQ(row.head_end, 12);
  EXPECT_EQ(row.query_buffer, 13);
  EXPECT_EQ(row.key_buffer, 14);
  EXPECT_EQ(row.value_buffer, 15);
  EXPECT_EQ(row.output_buffer, 16);
  EXPECT_EQ(row.lse_buffer, 17);
  EXPECT_EQ(row.accumulator_buffer, 18);
  EXPECT_EQ(row.first, 1);
  EXPECT_EQ(row.last, 0);
}

TEST(TablesTest, InstructionWait) {
  const auto row = As<flashcp_instruction>(
      fbs::Instruction(1, 2, 3, 4, 5, fbs::Opcode::add_gradients, fbs::Stream::communication));
  EXPECT_EQ(row.begin, 1);
  EXPECT_EQ(row.end, 2);
  EXPECT_EQ(row.wait_begin, 3);
  EXPECT_EQ(row.wait_end, 4);
  EXPECT_EQ(row.stage, 5);
  EXPECT_EQ(row.opcode, FLASHCP_ADD_GRADIENTS);
  EXPECT_EQ(row.stream, FLASHCP_STREAM_COMMUNICATION);
  const auto wait = As<flashcp_wait>(fbs::Wait(1, 2));
  EXPECT_EQ(wait.instruction, 1);
  EXPECT_EQ(wait.rounds, 2);
}

TEST(TablesTest, EnumeratorsAreThoseOfPlanFbs) {
  EXPECT_EQ(FLASHCP_BUFFER_VALUE_GRADIENT, static_cast<int>(fbs::BufferKind::value_gradient));
  EXPECT_EQ(FLASHCP_BUFFER_SAVED_VALUE, static_cast<int>(fbs::BufferKind::saved_value));
  EXPECT_EQ(FLASHCP_BUFFER_ACCUMULATOR, static_cast<int>(fbs::BufferKind::accumulator));
  EXPECT_EQ(FLASHCP_BUFFER_DELTA, static_cast<int>(fbs::BufferKind::delta));
  EXPECT_EQ(FLASHCP_BUFFER_REMOTE_VALUE_SUM, static_cast<int>(fbs::BufferKind::remote_value_sum));
  EXPECT_EQ(FLASHCP_BUFFER_OUTGOING_VALUE, static_cast<int>(fbs::BufferKind::outgoing_value));
  EXPECT_EQ(FLASHCP_ATTEND, static_cast<int>(fbs::Opcode::attend));
  EXPECT_EQ(FLASHCP_RESEND, static_cast<int>(fbs::Opcode::resend));
  EXPECT_EQ(FLASHCP_ATTEND_BACKWARD, static_cast<int>(fbs::Opcode::attend_backward));
  EXPECT_EQ(FLASHCP_PACK_GRADIENTS, static_cast<int>(fbs::Opcode::pack_gradients));
  EXPECT_EQ(FLASHCP_EXCHANGE_GRADIENTS, static_cast<int>(fbs::Opcode::exchange_gradients));
}

}  // namespace
}  // namespace flashcp
