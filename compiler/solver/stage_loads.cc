// Sweeps over the rows that each node needs, then deals them to stages.

#include "compiler/solver/stage_loads.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "compiler/solver/row_sweep.h"

namespace flashcp::solver {
namespace {

int64_t Blocks(const Problem& problem, int64_t rows) {
  const int64_t block = problem.cluster.tiles.block_rows;
  return (rows + block - 1) / block;
}

// Queries of a segment that read rows of one stage.
class ReadingQueries {
 public:
  // Adds those that see one of the keys at least; keys come in rising order.
  void Add(const Document& document, const Segment& queries, TokenRange keys) {
    const TokenRange seeing = QueriesThatSee(document, keys.begin, keys.end);
    const int64_t begin = std::max({queries.begin, seeing.begin, end_});
    end_ = std::max(end_, std::min(queries.end, seeing.end));
    count_ += std::max<int64_t>(0, end_ - begin);
  }
  int64_t count() const { return count_; }

 private:
  int64_t count_ = 0;
  int64_t end_ = 0;  // all added ones lie before it
};

int64_t Overlap(TokenRange a, const Segment& b) {
  return std::max<int64_t>(0, std::min(a.end, b.end) - std::max(a.begin, b.begin));
}

// Calls visit(stage, begin, end) for the parts of a run that different stages bring; begin and end
// are positions.
template <typename Run, typename Visit>
void ForEachPart(const Run& run, int stages, const Visit& visit) {
  int64_t begin = run.begin;
  for (int stage = RowStage(run.owner_rows, run.row, stages); begin < run.end; ++stage) {
    const int64_t next_row = FirstRowOfStage(run.owner_rows, stage + 1, stages);
    const int64_t end = std::min(run.end, run.begin + next_row - run.row);
    if (end > begin) visit(stage, begin, end);
    begin = std::max(begin, end);
  }
}

}  // namespace

StageLoads::StageLoads(const Problem& problem, const Placement& placement)
    : problem_(problem),
      rotation_(problem.ranks, problem.cluster.ranks_per_node),
      block_(MergeTime(problem)),
      ranks_(problem.ranks),
      nodes_((problem.ranks - 1) / problem.cluster.ranks_per_node + 1) {
  AddReaders(placement);
  for (size_t node = 0; node < nodes_.size(); ++node) AddRuns(node, placement);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    NumberRows(node);
    AddRemote(nodes_[node]);
  }
  AddSent(placement);
  AddShared();
}

void StageLoads::AddReaders(const Placement& placement) {
  const SegmentTimer timer(problem_);
  const ComputeTime prologue = PrologueTime(problem_);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    const Document& document = problem_.documents[d];
    for (const Segment& segment : placement.documents[d]) {
      const ComputeTime time = timer.InOneTile(document, segment.begin, segment.end);
      const double blocks = Blocks(problem_, segment.end - segment.begin);
      const double pairs = std::max<double>(1, CountPairs(document, segment.begin, segment.end));
      ranks_[segment.rank].tokens += segment.end - segment.begin;
      ranks_[segment.rank].local.forward_us += time.forward_us;
      ranks_[segment.rank].local.backward_us += time.backward_us;
      nodes_[rotation_.Node(segment.rank)].readers.push_back(readers_.size());
      readers_.push_back(
          {static_cast<int>(d),
           segment,
           KeysNeeded(document, segment.begin, segment.end),
           {std::max(0.0, time.forward_us - blocks * prologue.forward_us) / pairs,
            std::max(0.0, time.backward_us - blocks * prologue.backward_us) / pairs}});
    }
  }
}

// Adds the runs of one node in order of document and position. Both ends of what segments see rise
// from segment to segment, so the readers of a position are consecutive.
class StageLoads::RunBuilder {
 public:
  RunBuilder(StageLoads* loads, int node)
      : loads_(*loads),
        node_(node),
        all_gather_(loads->problem_.exchange == Exchange::kAllGather) {}

  // Starts a document whose readers are [first, last) of the node's.
  void Start(size_t first, size_t last) {
    opened_ = closed_ = first;
    last_ = last;
    known_owner_ = kNone;
  }

  // Adds the runs of a segment, which is itself reader number `owner`.
  void AddSegment(int owner) {
    const Reader& owned = loads_.readers_[owner];
    for (int64_t begin = owned.queries.begin; begin < owned.queries.end;) {
      Move(begin);
      int64_t end = owned.queries.end;
      if (closed_ < opened_) end = std::min(end, ReaderAt(closed_).keys.end);
      if (opened_ < last_) end = std::min(end, ReaderAt(opened_).keys.begin);
      AddRun(owned, begin, end);
      begin = end;
    }
  }

 private:
  static constexpr int kNone = -2;
  static constexpr int kOutside = -1;  // any owner of another node

  const Reader& ReaderAt(size_t place) const {
    return loads_.readers_[loads_.nodes_[node_].readers[place]];
  }

  void Move(int64_t position) {
    while (opened_ < last_ && ReaderAt(opened_).keys.begin <= position) {
      ++opened_;
      known_owner_ = kNone;
    }
    while (closed_ < opened_ && ReaderAt(closed_).keys.end <= position) {
      ++closed_;
      known_owner_ = kNone;
    }
  }

  void AddRun(const Reader& owned, int64_t begin, int64_t end) {
    const int rank = owned.queries.rank;
    const bool outside = loads_.rotation_.Node(rank) != node_;
    MakeLists(rank, outside);
    const std::vector<int>& receivers = loads_.lists_[receivers_];
    if (receivers.empty()) return;
    loads_.rotation_.Add(node_ * loads_.problem_.cluster.ranks_per_node, rank);
    loads_.relays_ |= outside && receivers.size() > 1;
    Node& node = loads_.nodes_[node_];
    const Run run = {owned.document, rank, begin, end, {}, 0, receivers_};
    Run* before = node.received.empty() ? nullptr : &node.received.back();
    if (before != nullptr && before->document == run.document && before->owner == rank &&
        before->end == begin && loads_.lists_[before->list] == receivers) {
      before->end = end;
    } else {
      node.received.push_back(run);
    }
    if (loads_.lists_[readers_].empty()) return;
    node.read.push_back(run);
    node.read.back().list = readers_;
  }

  // Lists who receives and who reads the rows of a rank, unless the last lists are right.
  void MakeLists(int rank, bool outside) {
    const int owner = outside ? kOutside : rank;
    if (std::exchange(known_owner_, owner) == owner) return;
    std::vector<int> readers;
    for (size_t place = closed_; place < opened_; ++place) {
      if (ReaderAt(place).queries.rank != rank) readers.push_back(place);
    }
    receivers_ = AddList(Receivers(rank, readers));
    readers_ = AddList(std::move(readers));
  }

  std::vector<int> Receivers(int owner, const std::vector<int>& readers) const {
    std::vector<int> receivers;
    if (all_gather_) {
      const Problem& problem = loads_.problem_;
      const int first = node_ * problem.cluster.ranks_per_node;
      const int last = std::min(problem.ranks, first + problem.cluster.ranks_per_node);
      for (int rank = first; rank < last; ++rank) {
        if (rank != owner) receivers.push_back(rank);
      }
      return receivers;
    }
    for (int place : readers) receivers.push_back(ReaderAt(place).queries.rank);
    std::sort(receivers.begin(), receivers.end());
    receivers.erase(std::unique(receivers.begin(), receivers.end()), receivers.end());
    return receivers;
  }

  int AddList(std::vector<int> list) {
    loads_.lists_.push_back(std::move(list));
    return loads_.lists_.size() - 1;
  }

  StageLoads& loads_;
  const int node_;
  const bool all_gather_;
  size_t opened_ = 0, closed_ = 0, last_ = 0;  // places in the node's readers
  int known_owner_ = kNone;                    // that the lists are for
  int receivers_ = 0, readers_ = 0;            // lists
};

void StageLoads::AddRuns(int node, const Placement& placement) {
  const std::vector<int>& readers = nodes_[node].readers;
  RunBuilder builder(this, node);
  size_t first = 0;
  int owner = 0;  // its number as a reader
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    size_t last = first;
    while (last < readers.size() && readers_[readers[last]].document == static_cast<int>(d)) ++last;
    const int end = owner + placement.documents[d].size();
    if (first < last || problem_.exchange == Exchange::kAllGather) {
      builder.Start(first, last);
      for (int number = owner; number < end; ++number) builder.AddSegment(number);
    }
    owner = end;
    first = last;
  }
}

// Every run that is read lies within one that is received.
void StageLoads::NumberRows(int number) {
  Node& node = nodes_[number];
  std::vector<int64_t> rows(problem_.ranks);  // of each owner
  std::map<std::vector<int>, int> groups;     // by receivers
  for (Run& run : node.received) {
    run.row = rows[run.owner];
    rows[run.owner] += run.end - run.begin;
    run.group = groups.try_emplace(lists_[run.list], groups.size()).first->second;
  }
  node.groups = groups.size();
  auto within = node.received.begin();
  for (Run& run : node.read) {
    while (std::tie(within->document, within->end) <= std::tie(run.document, run.begin)) ++within;
    run.row = within->row + run.begin - within->begin;
  }
  const int receiver = number * problem_.cluster.ranks_per_node;
  const std::vector<OwnerRows> owners = RotateOwners(rotation_, receiver, rows);
  for (std::vector<Run>* runs : {&node.received, &node.read}) {
    for (Run& run : *runs) run.owner_rows = owners[run.owner];
  }
  std::stable_sort(node.received.begin(), node.received.end(),
                   [](const Run& a, const Run& b) { return a.owner < b.owner; });
}

// Takes tiles on rows of other ranks from what is local.
void StageLoads::AddRemote(const Node& node) {
  for (const Run& run : node.received) {
    for (int rank : lists_[run.list]) ranks_[rank].rows_in += run.end - run.begin;
  }
  for (const Run& run : node.read) {
    const model::Band& band = problem_.documents[run.document].mask.band();
    for (int place : lists_[run.list]) {
      const Reader& reader = readers_[node.readers[place]];
      const double pairs =
          CountPairs(band, {reader.queries.begin, reader.queries.end}, {run.begin, run.end});
      ComputeTime& local = ranks_[reader.queries.rank].local;
      local.forward_us = std::max(0.0, local.forward_us - pairs * reader.pair.forward_us);
      local.backward_us = std::max(0.0, local.backward_us - pairs * reader.pair.backward_us);
    }
  }
}

// Counts rows that other ranks than their owner need.
class StageLoads::SentRows {
 public:
  explicit SentRows(std::vector<RankBase>* ranks) : ranks_(*ranks), needing_(ranks->size()) {}

  // For RowSweep.
  void Open(int rank) {
    needing_[rank] = true;
    ++count_;
  }
  void Close(int rank) {
    needing_[rank] = false;
    --count_;
  }
  void Send(int owner, int64_t rows) {
    if (count_ > needing_[owner]) ranks_[owner].sent_rows += rows;
  }
  Traffic& TrafficOf(int) { return unused_; }

 private:
  std::vector<RankBase>& ranks_;
  std::vector<char> needing_;
  int count_ = 0;
  Traffic unused_;
};

void StageLoads::AddSent(const Placement& placement) {
  if (problem_.ranks == 1) return;
  if (problem_.exchange == Exchange::kAllGather) {
    for (RankBase& rank : ranks_) rank.sent_rows = rank.tokens;
    return;
  }
  RowSweep sweep(problem_);
  SentRows rows(&ranks_);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    const std::vector<Segment>& segments = placement.documents[d];
    if (segments.size() > 1) sweep.Run(problem_.documents[d], segments, /*sign=*/1, rows);
  }
}

// A segment has a tile for each segment of its rank that it sees, and one for what it receives.
void StageLoads::AddShared() {
  std::vector<std::vector<const Reader*>> of_rank(problem_.ranks);
  for (const Reader& reader : readers_) of_rank[reader.queries.rank].push_back(&reader);
  for (const std::vector<const Reader*>& readers : of_rank) {
    auto first = readers.begin();  // of the document
    for (auto it = readers.begin(); it != readers.end(); ++it) {
      if ((*it)->document != (*first)->document) first = it;
      int tiles = 0;
      int64_t remote = (*it)->keys.end - (*it)->keys.begin;
      for (auto own = first; own != readers.end() && (*own)->document == (*it)->document; ++own) {
        const int64_t rows = Overlap((*it)->keys, (*own)->queries);
        tiles += rows > 0;
        remote -= rows;
      }
      if (tiles + (remote > 0) < 2) continue;
      ranks_[(*it)->queries.rank].shared_rows += (*it)->queries.end - (*it)->queries.begin;
    }
  }
}

std::vector<RankStage> StageLoads::CutRows(int stages, const std::vector<bool>& saved) const {
  std::vector<RankStage> cut(static_cast<size_t>(problem_.ranks) * stages);
  for (size_t node = 0; node < nodes_.size(); ++node) CutReceived(node, stages, saved, &cut);
  return cut;
}

void StageLoads::AddCompute(int stages, std::vector<RankStage>* cut) const {
  for (const Node& node : nodes_) AddComputeOf(node, stages, cut);
}

// Returns what the node receives from others, by group and stage.
std::vector<RelayRun> StageLoads::RelayRuns(int node, int stages) const {
  std::vector<RelayRun> relay_runs(static_cast<size_t>(nodes_[node].groups) * stages);
  for (const Run& run : nodes_[node].received) {
    if (rotation_.Node(run.owner) == node) continue;
    const int receivers = lists_[run.list].size();
    ForEachPart(run, stages, [&](int stage, int64_t begin, int64_t end) {
      RelayRun& relay_run = relay_runs[static_cast<size_t>(run.group) * stages + stage];
      if (relay_run.rows == 0) relay_run = {0, receivers, run.owner};
      relay_run.rows += end - begin;
    });
  }
  return relay_runs;
}

void StageLoads::CutReceived(int node, int stages, const std::vector<bool>& saved,
                             std::vector<RankStage>* cut) const {
  const std::vector<RelayRun> relay_runs = RelayRuns(node, stages);
  std::vector<int64_t> relayed(relay_runs.size());  // rows so far
  const int first_rank = node * problem_.cluster.ranks_per_node;
  const int ranks = std::min(problem_.ranks - first_rank, problem_.cluster.ranks_per_node);
  // Runs of one owner follow one another: a new owner is a new message.
  std::vector<int> last_owner(static_cast<size_t>(ranks) * stages, -1);
  for (const Run& run : nodes_[node].received) {
    const bool inside = rotation_.Node(run.owner) == node;
    const std::vector<int>& receivers = lists_[run.list];
    const int others = receivers.size() - 1;
    if (!saved.empty() && saved[run.document]) continue;
    ForEachPart(run, stages, [&](int stage, int64_t begin, int64_t end) {
      auto at = [&](int rank) -> RankStage& {
        return (*cut)[static_cast<size_t>(rank) * stages + stage];
      };
      auto send = [&](int rank, Flow RankStage::*flow, int64_t rows) {
        int& last = last_owner[static_cast<size_t>(rank - first_rank) * stages + stage];
        const bool is_new = std::exchange(last, run.owner) != run.owner;
        (at(run.owner).*flow).Send(rows, is_new);
        (at(rank).*flow).Receive(rows, is_new);
      };
      const int64_t rows = end - begin;
      if (inside) {
        for (int rank : receivers) send(rank, &RankStage::in_node, rows);
        return;
      }
      for (int rank : receivers) at(rank).relayed.rows_in += rows;
      const size_t place = static_cast<size_t>(run.group) * stages + stage;
      ForEachRelayShare(relay_runs[place], relayed[place], rows, [&](const RelayShare& share) {
        const int64_t size = share.end - share.begin;
        const int relay = receivers[share.receiver];
        send(relay, &RankStage::between_nodes, size);
        at(relay).relayed.rows_in -= size;  // its own share is not relayed to it
        at(relay).relayed.rows_out += others * size;
        at(relay).relayed.messages_out = std::max(at(relay).relayed.messages_out, others);
      });
      relayed[place] += rows;
    });
  }
}

void StageLoads::AddComputeOf(const Node& node, int stages, std::vector<RankStage>* cut) const {
  auto reader_at = [&](size_t place) -> const Reader& { return readers_[node.readers[place]]; };
  auto compute = [&](const Reader& reader, int stage) -> ComputeTime& {
    return (*cut)[static_cast<size_t>(reader.queries.rank) * stages + stage].compute;
  };
  std::vector<ReadingQueries> touched;  // of each reader of a document, by stage
  auto run = node.read.begin();
  for (size_t first = 0, last = 0; run != node.read.end(); first = last) {
    const int document = reader_at(first).document;
    while (last < node.readers.size() && reader_at(last).document == document) ++last;
    if (run->document != document) continue;
    const model::Band& band = problem_.documents[document].mask.band();
    touched.assign((last - first) * stages, {});
    for (; run != node.read.end() && run->document == document; ++run) {
      ForEachPart(*run, stages, [&](int stage, int64_t begin, int64_t end) {
        for (int place : lists_[run->list]) {
          const Reader& reader = reader_at(place);
          const Segment& queries = reader.queries;
          const double pairs = CountPairs(band, {queries.begin, queries.end}, {begin, end});
          compute(reader, stage).forward_us += pairs * reader.pair.forward_us;
          compute(reader, stage).backward_us += pairs * reader.pair.backward_us;
          touched[(place - first) * stages + stage].Add(problem_.documents[document], queries,
                                                        {begin, end});
        }
      });
    }
    for (size_t i = 0; i < touched.size(); ++i) {
      if (touched[i].count() == 0) continue;
      ComputeTime& time = compute(reader_at(first + i / stages), i % stages);
      time.forward_us += Blocks(problem_, touched[i].count()) * block_.forward_us;
      time.backward_us += Blocks(problem_, touched[i].count()) * block_.backward_us;
    }
  }
}

}  // namespace flashcp::solver
