// Sends of all ranks are collected first; then each rank is emitted on its own.

#include "compiler/emit/EmitMessages.h"

#include "compiler/analysis/RemoteStages.h"

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

MessageEmitter::MessageEmitter(cp::BatchOp batch, const BatchAnalysis &analysis)
    : analysis(analysis),
      headBytes(batch.getHeads().getDim() *
                batch.getDtype().getIntOrFloatBitWidth() / 8),
      sends(batch.getRanks()), receivedSlices(batch.getRanks()),
      receivedMessages(batch.getRanks()), payloads(batch.getRanks()) {
  findRows();
  SmallVector<SmallVector<Exchange>> exchanges; // by rank
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    exchanges.push_back(exchangesOf(program));
    indexRelayRows(program);
  }
  size_t numExchanges = exchanges.empty() ? 0 : exchanges.front().size();
  for (size_t i = 0; i < numExchanges; ++i)
    for (auto [receiver, ofRank] : llvm::enumerate(exchanges))
      collectSends(ofRank[i], receiver, i);
}

SmallVector<MessageEmitter::Exchange>
MessageEmitter::exchangesOf(cp::ProgramOp program) {
  SmallVector<Exchange> exchanges;
  for (RemoteStage &stage : remoteStagesOf(program))
    for (cp::ExchangeOp op : {stage.exchange, stage.relayed})
      if (op)
        exchanges.push_back({op.getReceived(), stage.number(),
                             uint32_t(op.getHeadBegin()),
                             uint32_t(op.getHeadEnd()), op.getRelayed(),
                             bool(stage.relayed)});
  return exchanges;
}

/// Finds the first row of each owned range at its owner: rows follow the order
/// of the shards.
void MessageEmitter::findRows() {
  std::vector<uint32_t> used(sends.size());
  for (cp::ShardOp shard : analysis.shards()) {
    std::vector<uint32_t> &rows = ownedRows.emplace_back();
    for (const cp::OwnedRange &range : shard.getOwned()) {
      rows.push_back(used[range.owner]);
      used[range.owner] += range.end - range.begin;
    }
  }
}

/// Indexes the received rows of a rank that may send them on.
void MessageEmitter::indexRelayRows(cp::ProgramOp program) {
  std::vector<std::array<RowIndex, 2>> &rows = relayRows.emplace_back();
  for (RemoteStage &stage : remoteStagesOf(program))
    if (stage.relayed)
      rows.push_back({RowIndex(heldTokens(stage, /*saved=*/false)),
                      RowIndex(heldTokens(stage, /*saved=*/true))});
}

template <typename Visit>
void MessageEmitter::forEachSender(const Exchange &exchange,
                                   const cp::ReceivedRange &range,
                                   Visit visit) {
  if (exchange.relayed) {
    const RowIndex &rows =
        relayRows[range.relay][exchange.stage - 1][range.saved];
    visit(range.relay, *rows.find(range.document, range.begin, range.end), 0,
          range.size());
    return;
  }
  cp::ShardOp shard = analysis.shards()[range.document];
  ArrayRef<cp::OwnedRange> owned = shard.getOwned();
  const cp::OwnedRange *from = llvm::upper_bound(
      owned, range.begin, [](int64_t position, const cp::OwnedRange &owned) {
        return position < owned.end;
      });
  for (int64_t position = range.begin; position < range.end; ++from) {
    int64_t next = std::min(range.end, from->end);
    uint32_t firstRow = ownedRows[range.document][from - owned.begin()];
    visit(from->owner, firstRow + (position - from->begin),
          position - range.begin, next - position);
    position = next;
  }
}

void MessageEmitter::addSlice(int32_t peer, bool saved, uint32_t row,
                              uint32_t count) {
  Payload &payload = payloads[peer];
  if (payload.empty())
    peers.push_back(peer);
  payload.rows[saved] += count;
  addRows(payload.slices[saved], row, count);
}

void MessageEmitter::collectSends(const Exchange &exchange, int64_t receiver,
                                  size_t number) {
  peers.clear();
  for (const cp::ReceivedRange &range : exchange.received)
    forEachSender(exchange, range,
                  [&](int32_t sender, uint32_t row, uint32_t, uint32_t count) {
                    addSlice(sender, range.saved, row, count);
                    ++receivedSlices[receiver];
                  });
  receivedMessages[receiver] += peers.size();
  for (int32_t sender : peers)
    sends[sender].push_back(
        {int32_t(receiver), number, std::exchange(payloads[sender], {})});
}

void MessageEmitter::emitReceives(const Exchange &exchange,
                                  const StageRows &rows, RankTables &tables) {
  peers.clear();
  uint32_t next[2] = {0, 0}; // rows of one exchange alone follow its ranges
  for (const cp::ReceivedRange &range : exchange.received) {
    uint32_t first = next[range.saved];
    if (exchange.sharesRows)
      first = *rows.of(range.saved)
                   .index.find(range.document, range.begin, range.end);
    next[range.saved] += range.size();
    forEachSender(
        exchange, range,
        [&](int32_t sender, uint32_t, uint32_t offset, uint32_t count) {
          addSlice(sender, range.saved, first + offset, count);
        });
  }
  llvm::sort(peers);
  for (int32_t sender : peers) {
    Payload &payload = payloads[sender];
    addMessage(tables, exchange, fbs::Direction::receive, sender,
               tags[sender]++, rows, payload);
    for (int saved : {0, 1}) {
      payload.slices[saved].clear();
      payload.rows[saved] = 0;
    }
  }
}

/// Adds one message: a part for K and one for V, over the same slices; two more
/// for saved rows.
void MessageEmitter::addMessage(RankTables &tables, const Exchange &exchange,
                                fbs::Direction direction, uint32_t peer,
                                uint32_t tag, const StageRows &rows,
                                const Payload &payload) {
  uint32_t partBegin = tables.parts.size();
  for (bool saved : {false, true}) {
    const std::vector<fbs::Slice> &slices = payload.slices[saved];
    if (slices.empty())
      continue;
    uint32_t sliceBegin = tables.slices.size();
    tables.slices.insert(tables.slices.end(), slices.begin(), slices.end());
    for (uint32_t buffer :
         {rows.of(saved).keyBuffer, rows.of(saved).valueBuffer})
      tables.parts.emplace_back(buffer, exchange.headBegin, exchange.headEnd,
                                sliceBegin, tables.slices.size(), saved);
  }
  uint64_t rowHeads = (payload.rows[0] + payload.rows[1]) *
                      (exchange.headEnd - exchange.headBegin);
  tables.messages.emplace_back(2 * rowHeads * headBytes, peer, tag, partBegin,
                               tables.parts.size(), direction);
}

SmallVector<uint32_t> MessageEmitter::emit(cp::ProgramOp program,
                                           ArrayRef<StageRows> stages,
                                           RankTables &tables) {
  std::vector<Send> &ours = sends[program.getRank()];
  tags.assign(sends.size(), 0);
  sendTags.assign(sends.size(), 0);
  SmallVector<uint32_t> ends;
  size_t next = 0;
  for (const Exchange &exchange : exchangesOf(program)) {
    const StageRows &rows = stages[exchange.stage];
    for (; next < ours.size() && ours[next].exchange == ends.size(); ++next)
      addMessage(tables, exchange, fbs::Direction::send, ours[next].receiver,
                 sendTags[ours[next].receiver]++,
                 exchange.relayed ? rows : stages[0],
                 std::exchange(ours[next].payload, {}));
    emitReceives(exchange, rows, tables);
    ends.push_back(tables.messages.size());
  }
  return ends;
}

size_t MessageEmitter::maxSlices(int64_t rank) const {
  size_t count = receivedSlices[rank];
  for (const Send &send : sends[rank])
    count += send.payload.slices[0].size() + send.payload.slices[1].size();
  return count;
}

size_t MessageEmitter::maxMessages(int64_t rank) const {
  return sends[rank].size() + receivedMessages[rank];
}

} // namespace flashcp
