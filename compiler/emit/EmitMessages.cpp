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
  size_t numOwn = 0;
  for (size_t i = 0; i < numExchanges; ++i) {
    if (!exchanges.front()[i].hasOwnRows())
      continue;
    ++numOwn;
    for (auto [receiver, ofRank] : llvm::enumerate(exchanges))
      collectSends(ofRank[i], receiver, i);
  }
  if (numOwn > 0)
    repeats = numExchanges / numOwn;
}

SmallVector<MessageEmitter::Exchange>
MessageEmitter::exchangesOf(cp::ProgramOp program) {
  SmallVector<Exchange> exchanges;
  for (RemoteStage &stage : remoteStagesOf(program))
    for (cp::ExchangeOp op : {stage.exchange, stage.relayed})
      if (op)
        exchanges.push_back({op.getReceived(), stage.number(), stage.rowsStage,
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
    if (stage.relayed && stage.hasOwnRows())
      rows.push_back({RowIndex(heldTokens(stage, /*saved=*/false)),
                      RowIndex(heldTokens(stage, /*saved=*/true))});
}

template <typename Visit>
void MessageEmitter::forEachSender(const Exchange &exchange,
                                   const cp::ReceivedRange &range,
                                   Visit visit) {
  if (exchange.relayed) {
    const RowIndex &rows =
        relayRows[range.relay][exchange.rowsStage - 1][range.saved];
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

/// Adds the messages [first, last) of a table again, with other heads of their
/// rows.
void MessageEmitter::repeatMessages(RankTables &tables, uint32_t first,
                                    uint32_t last, const Exchange &exchange) {
  for (uint32_t m = first; m < last; ++m) {
    fbs::Message message = tables.messages[m];
    bool sent = message.direction() == fbs::Direction::send;
    uint32_t partBegin = tables.parts.size();
    uint64_t bytes = 0;
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      fbs::Part part = tables.parts[p];
      part.mutate_head_begin(exchange.headBegin);
      part.mutate_head_end(exchange.headEnd);
      for (uint32_t i = part.slice_begin(); i < part.slice_end(); ++i)
        bytes += tables.slices[i].count() * headBytes *
                 (exchange.headEnd - exchange.headBegin);
      tables.parts.push_back(part);
    }
    uint32_t tag = (sent ? sendTags : tags)[message.peer()]++;
    tables.messages.emplace_back(bytes, message.peer(), tag, partBegin,
                                 tables.parts.size(), message.direction());
  }
}

SmallVector<uint32_t> MessageEmitter::emit(cp::ProgramOp program,
                                           ArrayRef<StageRows> stages,
                                           RankTables &tables) {
  std::vector<Send> &ours = sends[program.getRank()];
  tags.assign(sends.size(), 0);
  sendTags.assign(sends.size(), 0);
  SmallVector<uint32_t> ends;
  uint32_t ownBegin[2] = {0, 0},
           ownEnd[2] = {0, 0}; // of exchanges with own rows
  size_t next = 0;
  for (const Exchange &exchange : exchangesOf(program)) {
    uint32_t begin = tables.messages.size();
    if (!exchange.hasOwnRows()) {
      repeatMessages(tables, ownBegin[exchange.relayed],
                     ownEnd[exchange.relayed], exchange);
      ends.push_back(tables.messages.size());
      continue;
    }
    const StageRows &rows = stages[exchange.stage];
    for (; next < ours.size() && ours[next].exchange == ends.size(); ++next)
      addMessage(tables, exchange, fbs::Direction::send, ours[next].receiver,
                 sendTags[ours[next].receiver]++,
                 exchange.relayed ? rows : stages[0],
                 std::exchange(ours[next].payload, {}));
    emitReceives(exchange, rows, tables);
    ownBegin[exchange.relayed] = begin;
    ownEnd[exchange.relayed] = tables.messages.size();
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
  return repeats * (sends[rank].size() + receivedMessages[rank]);
}

} // namespace flashcp
