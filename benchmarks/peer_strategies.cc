// Decides how the placement rules of MagiAttention and PyTorch read on our problem.

#include "benchmarks/peer_strategies.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>
#include <vector>

namespace flashcp::benchmarks {
namespace {

using model::CountPairs;
using model::Document;
using model::KeysNeeded;
using model::TokenRange;
using solver::Placement;
using solver::Problem;
using solver::Segment;

// The part of a document that lies in one chunk of the pack.
struct Piece {
  int document = 0;
  int64_t offset = 0;  // of the document in the pack
  int64_t begin = 0;   // positions in the document
  int64_t end = 0;
};

// Chunk c of the pack holds tokens [c * chunk_tokens, (c + 1) * chunk_tokens).
std::vector<std::vector<Piece>> CutPack(const Problem& problem, int64_t chunk_tokens) {
  std::vector<std::vector<Piece>> chunks((problem.TotalTokens() + chunk_tokens - 1) / chunk_tokens);
  int64_t offset = 0;
  for (int d = 0; d < static_cast<int>(problem.documents.size()); ++d) {
    int64_t end = offset + problem.documents[d].length;
    for (int64_t token = offset; token < end;) {
      int64_t chunk = token / chunk_tokens;
      int64_t next = std::min(end, (chunk + 1) * chunk_tokens);
      chunks[chunk].push_back({d, offset, token - offset, next - offset});
      token = next;
    }
    offset = end;
  }
  return chunks;
}

// (query, key) pairs of a chunk.
int64_t MaskArea(const Problem& problem, const std::vector<Piece>& chunk) {
  int64_t area = 0;
  for (const Piece& piece : chunk) {
    area += CountPairs(problem.documents[piece.document], piece.begin, piece.end);
  }
  return area;
}

// Blocks of `block` keys of the pack that some query of the chunk sees. Documents come in the order
// of the pack, so that only neighbours can share a block.
int64_t KeyBlocks(const Problem& problem, const std::vector<Piece>& chunk, int64_t block) {
  int64_t count = 0;
  int64_t next = 0;  // blocks before it are counted
  for (const Piece& piece : chunk) {
    TokenRange keys = KeysNeeded(problem.documents[piece.document], piece.begin, piece.end);
    int64_t first = std::max(next, (piece.offset + keys.begin) / block);
    next = (piece.offset + keys.end - 1) / block + 1;
    count += next - first;
  }
  return count;
}

std::vector<size_t> InFallingOrder(const std::vector<int64_t>& work) {
  std::vector<size_t> order(work.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return work[a] > work[b]; });
  return order;
}

// The placement that gives chunk c to rank owner[c].
Placement PlaceChunks(const Problem& problem, const std::vector<std::vector<Piece>>& chunks,
                      const std::vector<int>& owner) {
  Placement placement;
  placement.documents.resize(problem.documents.size());
  for (size_t c = 0; c < chunks.size(); ++c) {
    for (const Piece& piece : chunks[c]) {
      std::vector<Segment>& segments = placement.documents[piece.document];
      if (!segments.empty() && segments.back().rank == owner[c]) {
        segments.back().end = piece.end;
      } else {
        segments.push_back({piece.begin, piece.end, owner[c]});
      }
    }
  }
  return placement;
}

}  // namespace

Placement PlaceMagiMinHeap(const Problem& problem, int64_t chunk_tokens) {
  std::vector<std::vector<Piece>> chunks = CutPack(problem, chunk_tokens);
  std::vector<int64_t> area;
  for (const std::vector<Piece>& chunk : chunks) area.push_back(MaskArea(problem, chunk));

  using Load = std::pair<int64_t, int>;  // area and rank: the lower rank of equals
  std::priority_queue<Load, std::vector<Load>, std::greater<Load>> ranks;
  for (int rank = 0; rank < problem.ranks; ++rank) ranks.push({0, rank});
  size_t share = (chunks.size() + problem.ranks - 1) / problem.ranks;
  std::vector<size_t> held(problem.ranks, 0);
  std::vector<int> owner(chunks.size(), 0);
  for (size_t chunk : InFallingOrder(area)) {
    auto [load, rank] = ranks.top();
    ranks.pop();
    owner[chunk] = rank;
    if (++held[rank] < share) ranks.push({load + area[chunk], rank});
  }
  return PlaceChunks(problem, chunks, owner);
}

Placement PlacePtrr(const Problem& problem, int64_t block_rows) {
  std::vector<std::vector<Piece>> blocks = CutPack(problem, block_rows);
  std::vector<int64_t> work;
  for (const std::vector<Piece>& block : blocks) {
    work.push_back(KeyBlocks(problem, block, block_rows));
  }
  std::vector<size_t> order = InFallingOrder(work);
  std::vector<int> owner(blocks.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    int turn = static_cast<int>(i % problem.ranks);
    bool backwards = i / problem.ranks % 2 == 1;
    owner[order[i]] = backwards ? problem.ranks - 1 - turn : turn;
  }
  return PlaceChunks(problem, blocks, owner);
}

}  // namespace flashcp::benchmarks
