// The dense reference decides what is exact: for each query and head, all scores of the keys that
// the mask shows, their softmax in two passes, the weighted sum of the values, all in double.
//
// Queries are taken 16 at a time, side by side in the lanes of vectors, so that a key or a value is
// read once for all of them. Keys that only some of the 16 see, along the edges of a mask, are left
// to plain loops.

#include "runtime/check/dense_reference.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "runtime/check/dense_loops.h"
#include "runtime/kernel_spec.h"
#include "runtime/widest_vectors.h"
#include "support/start_threads.h"

namespace flashcp {
namespace {

using namespace dense;

constexpr int64_t kKeyChunk = 32;  // keys whose values are read at a time, to stay in a cache
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Queries [begin, end) of a document, for all heads: the unit of work of a thread.
struct QueryBlock {
  const DenseDocument* document;
  int64_t first_token;  // of the document, in global order
  int64_t begin;
  int64_t end;
};

std::vector<QueryBlock> MakeBlocks(const std::vector<DenseDocument>& documents) {
  std::vector<QueryBlock> blocks;
  int64_t token = 0;
  for (const DenseDocument& document : documents) {
    for (int64_t begin = 0; begin < document.length; begin += kLanes) {
      blocks.push_back({&document, token, begin, std::min(begin + kLanes, document.length)});
    }
    token += document.length;
  }
  return blocks;
}

// Computes one block of queries after the other; belongs to one thread.
class BlockAttention {
 public:
  // key and value are those of the problem as [heads, tokens, dim] and kGroup - 1 more rows of any
  // content.
  BlockAttention(const DenseProblem& problem, const std::vector<double>& key,
                 const std::vector<double>& value, DenseResult* result)
      : problem_(problem), key_(key), value_(value), result_(result) {}

  void Run(const QueryBlock& block, int head) {
    const int key_value_head = head / (problem_.query_heads / problem_.key_value_heads);
    first_key_ = (key_value_head * tokens_ + block.first_token) * problem_.dim;
    first_row_ = (block.first_token + block.begin) * problem_.query_heads + head;
    count_ = static_cast<int>(block.end - block.begin);
    for (int lane = 0; lane < count_; ++lane) {
      visible_[lane] = VisibleKeys(*block.document, block.begin + lane);
    }
    all_ = {visible_[0].begin, visible_[count_ - 1].end};
    const int64_t common_begin = visible_[count_ - 1].begin;
    common_ = {common_begin, std::max(common_begin, visible_[0].end)};
    ComputeScores();
    ComputeWeights();
    SumValues();
    StoreOutput();
  }

 private:
  // The score, then the weight, of each query for a key in all_.
  Lanes& Weights(int64_t key) { return weights_[key - all_.begin]; }

  void ComputeScores() {
    const double scale = 1 / std::sqrt(static_cast<double>(problem_.dim));
    query_.fill({});
    for (int lane = 0; lane < count_; ++lane) {
      const int64_t row = first_row_ + int64_t{lane} * problem_.query_heads;
      for (int d = 0; d < problem_.dim; ++d) {
        query_[d][lane] = scale * problem_.query[row * problem_.dim + d];
      }
    }
    const int64_t groups = (all_.end - all_.begin + kGroup - 1) / kGroup;
    weights_.assign(groups * kGroup, {});
    const Matrix keys = {&key_[first_key_ + all_.begin * problem_.dim], problem_.dim, 1};
    RunWithWidestVectors<SumProductsLoop>(groups, int64_t{problem_.dim}, keys, query_.data(),
                                          weights_.data());
  }

  // A score of -inf weighs nothing.
  void HideKeys(KeyRange keys) {
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      for (int lane = 0; lane < count_; ++lane) {
        const KeyRange& visible = visible_[lane];
        if (key < visible.begin || key >= visible.end) Weights(key)[lane] = -kInfinity;
      }
    }
  }

  // Softmax but for the division.
  void ComputeWeights() {
    HideKeys({all_.begin, common_.begin});
    HideKeys({common_.end, all_.end});
    Lanes maximum;
    maximum.fill(-kInfinity);
    sum_.fill(0);
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      const Lanes& scores = Weights(key);
      for (int lane = 0; lane < kLanes; ++lane) {
        maximum[lane] = scores[lane] > maximum[lane] ? scores[lane] : maximum[lane];
      }
    }
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      Lanes& weights = Weights(key);
      for (int lane = 0; lane < count_; ++lane) {
        double weight = weights[lane] == -kInfinity ? 0 : std::exp(weights[lane] - maximum[lane]);
        weights[lane] = weight;
        sum_[lane] += weight;
      }
    }
    for (int lane = 0; lane < count_; ++lane) {
      result_->lse[first_row_ + int64_t{lane} * problem_.query_heads] =
          sum_[lane] == 0 ? -kInfinity : maximum[lane] + std::log(sum_[lane]);
    }
  }

  void SumValues() {
    output_.fill({});
    SumEdgeValues({all_.begin, common_.begin});
    for (int64_t key = common_.begin; key < common_.end; key += kKeyChunk) {
      const Matrix values = {&value_[first_key_ + key * problem_.dim], 1, problem_.dim};
      RunWithWidestVectors<SumProductsLoop>(int64_t{problem_.dim / kGroup},
                                            std::min(kKeyChunk, common_.end - key), values,
                                            &Weights(key), output_.data());
    }
    SumEdgeValues({common_.end, all_.end});
  }

  // A value that a query does not see may be NaN, so that a weight of 0 would not hide it.
  void SumEdgeValues(KeyRange keys) {
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      const double* value = &value_[first_key_ + key * problem_.dim];
      for (int lane = 0; lane < count_; ++lane) {
        const double weight = Weights(key)[lane];
        if (weight == 0) continue;
        for (int d = 0; d < problem_.dim; ++d) output_[d][lane] += weight * value[d];
      }
    }
  }

  void StoreOutput() {
    for (int lane = 0; lane < count_; ++lane) {
      if (sum_[lane] == 0) continue;  // saw no key: its output stays 0
      const int64_t row = first_row_ + int64_t{lane} * problem_.query_heads;
      for (int d = 0; d < problem_.dim; ++d) {
        result_->output[row * problem_.dim + d] = output_[d][lane] / sum_[lane];
      }
    }
  }

  const DenseProblem& problem_;
  const std::vector<double>& key_;
  const std::vector<double>& value_;
  DenseResult* const result_;
  const int64_t tokens_ = problem_.key.size() / (problem_.key_value_heads * problem_.dim);

  // Of the block at hand:
  int64_t first_key_;  // element of the document's first key
  int64_t first_row_;  // of the first query; the next one is query_heads rows further
  int count_;          // queries
  std::array<KeyRange, kLanes> visible_;
  KeyRange all_;     // keys that some query sees
  KeyRange common_;  // keys that all queries see
  std::array<Lanes, kMaxHeadDim> query_;
  std::vector<Lanes> weights_;
  Lanes sum_;  // of weights
  std::array<Lanes, kMaxHeadDim> output_;
};

}  // namespace

std::vector<DenseDocument> DenseDocumentsOf(const Plan& plan) {
  std::vector<DenseDocument> documents;
  for (const fbs::Document& document : Items(plan->documents())) {
    documents.push_back({document.length(), MaskTypeOf(document.mask()), document.window()});
  }
  return documents;
}

DenseResult DenseAttention(const DenseProblem& problem) {
  const std::vector<QueryBlock> blocks = MakeBlocks(problem.documents);
  const std::vector<double> key = PackByHead(problem.key, problem.key_value_heads, problem.dim);
  const std::vector<double> value = PackByHead(problem.value, problem.key_value_heads, problem.dim);
  DenseResult result;
  result.output.resize(problem.query.size());
  result.lse.resize(problem.query.size() / problem.dim);
  std::atomic<size_t> next{0};
  auto work = [&] {
    BlockAttention attention(problem, key, value, &result);
    for (size_t i = next++; i < blocks.size(); i = next++) {
      for (int head = 0; head < problem.query_heads; ++head) attention.Run(blocks[i], head);
    }
  };
  const int others = static_cast<int>(std::thread::hardware_concurrency()) - 1;
  std::vector<std::thread> threads = StartThreads(std::max(0, others), [&](int) { work(); });
  work();
  for (std::thread& thread : threads) thread.join();
  return result;
}

}  // namespace flashcp
