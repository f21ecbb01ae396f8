#include "compiler/EmitMessages.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

/// Adds rows to a message, growing its last slice where they follow it.
static void addRows(std::vector<fbs::Slice> &slices, uint32_t row,
                    uint32_t count) {
  if (!slices.empty() && slices.back().begin() + slices.back().count() == row)
    slices.back().mutate_count(slices.back().count() + count);
  else
    slices.emplace_back(row, count);
}

MessageEmitter::MessageEmitter(cp::BatchOp batch)
    : heads(batch.getHeads()),
      rowBytes(heads.getKv() * heads.getDim() *
               batch.getDtype().getIntOrFloatBitWidth() / 8),
      shards(llvm::to_vector(batch.getBody().getOps<cp::ShardOp>())),
      sends(batch.getRanks()), receivedPieces(batch.getRanks()),
      receivedMessages(batch.getRanks()), payloads(batch.getRanks()) {
  findRows();
  SmallVector<SmallVector<cp::ExchangeOp>> exchanges;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    exchanges.push_back(
        llvm::to_vector(program.getBody().getOps<cp::ExchangeOp>()));
  size_t numExchanges = exchanges.empty() ? 0 : exchanges.front().size();
  for (size_t i = 0; i < numExchanges; ++i)
    for (auto [receiver, list] : llvm::enumerate(exchanges))
      collectSends(list[i], receiver, i);
}

/// Rows of each segment of each shard at its owner: the rows of an owner follow
/// the order of the shards.
void MessageEmitter::findRows() {
  std::vector<uint32_t> used(sends.size());
  for (cp::ShardOp shard : shards) {
    std::vector<uint32_t> &rows = segmentRows.emplace_back();
    for (auto [i, owner] : llvm::enumerate(shard.getOwners())) {
      rows.push_back(used[owner]);
      used[owner] += shard.getBounds()[i + 1] - shard.getBounds()[i];
    }
  }
}

template <typename Visit>
void MessageEmitter::forEachPiece(cp::ExchangeOp exchange, Visit visit) {
  ArrayRef<int64_t> received = exchange.getReceived();
  for (size_t i = 0; i < received.size(); i += cp::kTokenRangeSize) {
    int64_t document = received[i], begin = received[i + 1],
            end = received[i + 2];
    ArrayRef<int64_t> bounds = shards[document].getBounds();
    size_t segment = llvm::upper_bound(bounds, begin) - bounds.begin() - 1;
    for (; begin < end; ++segment) {
      int64_t next = std::min(end, bounds[segment + 1]);
      visit(document, segment, begin, uint32_t(next - begin));
      begin = next;
    }
  }
}

void MessageEmitter::collectSends(cp::ExchangeOp exchange, int64_t receiver,
                                  size_t number) {
  peers.clear();
  forEachPiece(exchange, [&](int64_t document, size_t segment, int64_t begin,
                             uint32_t count) {
    int32_t owner = shards[document].getOwners()[segment];
    Payload &payload = payloads[owner];
    if (payload.rows == 0)
      peers.push_back(owner);
    payload.rows += count;
    addRows(payload.slices,
            segmentRows[document][segment] +
                (begin - shards[document].getBounds()[segment]),
            count);
    ++receivedPieces[receiver];
  });
  receivedMessages[receiver] += peers.size();
  for (int32_t sender : peers)
    sends[sender].push_back(
        {int32_t(receiver), number, std::exchange(payloads[sender], {})});
}

void MessageEmitter::emitReceives(cp::ExchangeOp exchange,
                                  const StageRows &rows, RankTables &tables) {
  peers.clear();
  uint32_t row = 0;
  forEachPiece(exchange,
               [&](int64_t document, size_t segment, int64_t, uint32_t count) {
                 int32_t owner = shards[document].getOwners()[segment];
                 Payload &payload = payloads[owner];
                 if (payload.rows == 0)
                   peers.push_back(owner);
                 payload.rows += count;
                 addRows(payload.slices, row, count);
                 row += count;
               });
  llvm::sort(peers);
  for (int32_t sender : peers) {
    addMessage(tables, fbs::Direction::receive, sender, tags[sender]++,
               rows.keyBuffer, rows.valueBuffer, payloads[sender]);
    payloads[sender].slices.clear();
    payloads[sender].rows = 0;
  }
}

/// One message: a part for K and one for V, over the same slices.
void MessageEmitter::addMessage(RankTables &tables, fbs::Direction direction,
                                uint32_t peer, uint32_t tag, uint32_t keyBuffer,
                                uint32_t valueBuffer, const Payload &payload) {
  uint32_t sliceBegin = tables.slices.size();
  tables.slices.insert(tables.slices.end(), payload.slices.begin(),
                       payload.slices.end());
  uint32_t partBegin = tables.parts.size();
  for (uint32_t buffer : {keyBuffer, valueBuffer})
    tables.parts.emplace_back(buffer, 0, heads.getKv(), sliceBegin,
                              tables.slices.size());
  tables.messages.emplace_back(2 * payload.rows * rowBytes, peer, tag,
                               partBegin, tables.parts.size(), direction);
}

SmallVector<uint32_t> MessageEmitter::emit(cp::ProgramOp program,
                                           ArrayRef<StageRows> stages,
                                           RankTables &tables) {
  std::vector<Send> &ours = sends[program.getRank()];
  llvm::DenseMap<int32_t, uint32_t> sendTags;
  tags.assign(sends.size(), 0);
  SmallVector<uint32_t> ends;
  size_t next = 0;
  for (auto exchange : program.getBody().getOps<cp::ExchangeOp>()) {
    for (; next < ours.size() && ours[next].exchange == ends.size(); ++next)
      addMessage(tables, fbs::Direction::send, ours[next].receiver,
                 sendTags[ours[next].receiver]++, kKey, kValue,
                 std::exchange(ours[next].payload, {}));
    emitReceives(exchange, stages[exchange.getStage()], tables);
    ends.push_back(tables.messages.size());
  }
  return ends;
}

size_t MessageEmitter::maxSlices(int64_t rank) const {
  size_t count = receivedPieces[rank];
  for (const Send &send : sends[rank])
    count += send.payload.slices.size();
  return count;
}

size_t MessageEmitter::maxMessages(int64_t rank) const {
  return sends[rank].size() + receivedMessages[rank];
}

} // namespace flashcp
