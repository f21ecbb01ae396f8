#include "compiler/emit/EmitMessages.h"

#include "compiler/analysis/BatchProblem.h"
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

MessageEmitter::MessageEmitter(cp::BatchOp batch)
    : headBytes(batch.getHeads().getDim() *
                batch.getDtype().getIntOrFloatBitWidth() / 8),
      kept(keptDocuments(batch)),
      shards(llvm::to_vector(batch.getBody().getOps<cp::ShardOp>())),
      sends(batch.getRanks()), receivedPieces(batch.getRanks()),
      receivedMessages(batch.getRanks()), payloads(batch.getRanks()) {
  findRows();
  SmallVector<SmallVector<Group>> groups;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    groups.push_back(groupsOf(program));
    std::vector<std::array<RowIndex, 2>> &rows = remoteRows.emplace_back();
    for (RemoteStage &stage : remoteStagesOf(program)) {
      if (!stage.forward || !stage.hasOwnRows())
        continue;
      SmallVector<int64_t> held = heldTokens(stage);
      rows.push_back({RowIndex(tokensOf(held, kept, /*wanted=*/false)),
                      RowIndex(tokensOf(held, kept, /*wanted=*/true))});
    }
  }
  size_t numGroups = groups.empty() ? 0 : groups.front().size();
  size_t numOwn = numGroups == 0
                      ? 0
                      : llvm::count_if(groups.front(), [](const Group &group) {
                          return group.hasOwnRows();
                        });
  if (numOwn > 0)
    repeats = numGroups / numOwn;
  for (size_t i = 0; i < numGroups; ++i)
    for (auto [receiver, list] : llvm::enumerate(groups))
      if (list[i].hasOwnRows())
        collectSends(list[i], receiver, i);
}

SmallVector<MessageEmitter::Group>
MessageEmitter::groupsOf(cp::ProgramOp program) {
  SmallVector<Group> groups;
  for (RemoteStage &stage : remoteStagesOf(program)) {
    int64_t number = stage.exchange.getStage();
    bool shared = bool(stage.forward);
    uint32_t headBegin = stage.exchange.getHeadBegin();
    uint32_t headEnd = stage.exchange.getHeadEnd();
    groups.push_back({stage.exchange.getReceived(), number, stage.rowsStage,
                      headBegin, headEnd, false, shared});
    if (stage.forward)
      groups.push_back({stage.forward.getReceived(), number, stage.rowsStage,
                        headBegin, headEnd, true, shared});
  }
  return groups;
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
void MessageEmitter::forEachPiece(const Group &group, ArrayRef<int64_t> range,
                                  Visit visit) {
  int64_t document = range[0], begin = range[1], end = range[2];
  if (group.forward) {
    const RowIndex &rows =
        remoteRows[range[3]][group.rowsStage - 1][kept[document]];
    visit(range[3], *rows.find(document, begin, end), 0, end - begin);
    return;
  }
  ArrayRef<int64_t> bounds = shards[document].getBounds();
  ArrayRef<int32_t> owners = shards[document].getOwners();
  size_t segment = llvm::upper_bound(bounds, begin) - bounds.begin() - 1;
  for (int64_t position = begin; position < end; ++segment) {
    int64_t next = std::min(end, bounds[segment + 1]);
    visit(owners[segment],
          segmentRows[document][segment] + (position - bounds[segment]),
          position - begin, next - position);
    position = next;
  }
}

void MessageEmitter::addPiece(int32_t peer, int64_t document, uint32_t row,
                              uint32_t count) {
  Payload &payload = payloads[peer];
  if (payload.empty())
    peers.push_back(peer);
  payload.rows[kept[document]] += count;
  addRows(payload.slices[kept[document]], row, count);
}

void MessageEmitter::collectSends(const Group &group, int64_t receiver,
                                  size_t number) {
  peers.clear();
  size_t size = group.forward ? cp::kForwardedSize : cp::kTokenRangeSize;
  for (size_t i = 0; i < group.received.size(); i += size)
    forEachPiece(group, group.received.slice(i, size),
                 [&](int32_t sender, uint32_t row, uint32_t, uint32_t count) {
                   addPiece(sender, group.received[i], row, count);
                   ++receivedPieces[receiver];
                 });
  receivedMessages[receiver] += peers.size();
  for (int32_t sender : peers)
    sends[sender].push_back(
        {int32_t(receiver), number, std::exchange(payloads[sender], {})});
}

void MessageEmitter::emitReceives(const Group &group, const StageRows &rows,
                                  RankTables &tables) {
  peers.clear();
  uint32_t next[2] = {0, 0}; // rows of a group alone follow its ranges
  size_t size = group.forward ? cp::kForwardedSize : cp::kTokenRangeSize;
  for (size_t i = 0; i < group.received.size(); i += size) {
    ArrayRef<int64_t> range = group.received.slice(i, size);
    const KeyValueRows &place = rows.of(kept[range[0]]);
    uint32_t &following = next[kept[range[0]]];
    uint32_t first = group.sharesRows
                         ? *place.index.find(range[0], range[1], range[2])
                         : following;
    following += range[2] - range[1];
    forEachPiece(
        group, range,
        [&](int32_t sender, uint32_t, uint32_t offset, uint32_t count) {
          addPiece(sender, range[0], first + offset, count);
        });
  }
  llvm::sort(peers);
  for (int32_t sender : peers) {
    Payload &payload = payloads[sender];
    addMessage(tables, group, fbs::Direction::receive, sender, tags[sender]++,
               rows, payload);
    for (int isSaved : {0, 1}) {
      payload.slices[isSaved].clear();
      payload.rows[isSaved] = 0;
    }
  }
}

/// One message: a part for K and one for V, over the same slices; two more for
/// rows of saved documents.
void MessageEmitter::addMessage(RankTables &tables, const Group &group,
                                fbs::Direction direction, uint32_t peer,
                                uint32_t tag, const StageRows &rows,
                                const Payload &payload) {
  uint32_t partBegin = tables.parts.size();
  for (bool isSaved : {false, true}) {
    const std::vector<fbs::Slice> &slices = payload.slices[isSaved];
    if (slices.empty())
      continue;
    uint32_t sliceBegin = tables.slices.size();
    tables.slices.insert(tables.slices.end(), slices.begin(), slices.end());
    for (uint32_t buffer :
         {rows.of(isSaved).keyBuffer, rows.of(isSaved).valueBuffer})
      tables.parts.emplace_back(buffer, group.headBegin, group.headEnd,
                                sliceBegin, tables.slices.size(), isSaved);
  }
  uint64_t rowHeads =
      (payload.rows[0] + payload.rows[1]) * (group.headEnd - group.headBegin);
  tables.messages.emplace_back(2 * rowHeads * headBytes, peer, tag, partBegin,
                               tables.parts.size(), direction);
}

/// The messages [first, last) of a table again, with other heads of their rows.
void MessageEmitter::repeatMessages(RankTables &tables, uint32_t first,
                                    uint32_t last, const Group &group) {
  for (uint32_t m = first; m < last; ++m) {
    fbs::Message message = tables.messages[m];
    bool sent = message.direction() == fbs::Direction::send;
    uint32_t partBegin = tables.parts.size();
    uint64_t bytes = 0;
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      fbs::Part part = tables.parts[p];
      part.mutate_head_begin(group.headBegin);
      part.mutate_head_end(group.headEnd);
      for (uint32_t i = part.slice_begin(); i < part.slice_end(); ++i)
        bytes += tables.slices[i].count() * headBytes *
                 (group.headEnd - group.headBegin);
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
  uint32_t ownBegin[2] = {0, 0}, ownEnd[2] = {0, 0}; // of groups with own rows
  size_t next = 0;
  for (const Group &group : groupsOf(program)) {
    uint32_t begin = tables.messages.size();
    if (!group.hasOwnRows()) {
      repeatMessages(tables, ownBegin[group.forward], ownEnd[group.forward],
                     group);
      ends.push_back(tables.messages.size());
      continue;
    }
    const StageRows &rows = stages[group.stage];
    for (; next < ours.size() && ours[next].group == ends.size(); ++next)
      addMessage(tables, group, fbs::Direction::send, ours[next].receiver,
                 sendTags[ours[next].receiver]++,
                 group.forward ? rows : stages[0],
                 std::exchange(ours[next].payload, {}));
    emitReceives(group, rows, tables);
    ownBegin[group.forward] = begin;
    ownEnd[group.forward] = tables.messages.size();
    ends.push_back(tables.messages.size());
  }
  return ends;
}

size_t MessageEmitter::maxSlices(int64_t rank) const {
  size_t count = receivedPieces[rank];
  for (const Send &send : sends[rank])
    count += send.payload.slices[0].size() + send.payload.slices[1].size();
  return count;
}

size_t MessageEmitter::maxMessages(int64_t rank) const {
  return repeats * (sends[rank].size() + receivedMessages[rank]);
}

} // namespace flashcp
