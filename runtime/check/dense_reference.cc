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
#include "runtime/check/tolerance.h"
#include "runtime/cpu/widest_vectors.h"
#include "support/start_threads.h"

namespace flashcp {
namespace {

using namespace dense;

constexpr int64_t kKeyChunk = 32;  // keys whose values are read at a time, to stay in a cache
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Queries [begin, end) of a document, for all heads: the unit of work of a thread.
struct QueryBlock {
  int document;
  int64_t first_token;  // of the document, in global order
  int64_t begin;
  int64_t end;
};

std::vector<QueryBlock> MakeBlocks(const std::vector<model::Document>& documents) {
  std::vector<QueryBlock> blocks;
  int64_t token = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    const int64_t length = documents[d].length;
    for (int64_t begin = 0; begin < length; begin += kLanes) {
      blocks.push_back({static_cast<int>(d), token, begin, std::min(begin + kLanes, length)});
    }
    token += length;
  }
  return blocks;
}

// The largest norm of a key, [documents, heads].
std::vector<double> LargestKeyNorms(const DenseProblem& problem) {
  const KernelSpec& spec = problem.spec;
  std::vector<double> norms;
  int64_t token = 0;
  for (const model::Document& document : problem.documents) {
    for (int head = 0; head < spec.key_value_heads; ++head) {
      norms.push_back(
          LargestNorm(problem.key, spec.key_value_heads, spec.dim, head, token, document.length));
    }
    token += document.length;
  }
  return norms;
}

// Keys and values as [heads, tokens, dim] and kGroup - 1 more rows of any content.
struct ForwardRows {
  explicit ForwardRows(const DenseProblem& problem)
      : key(PackByHead(problem.key, problem.spec.key_value_heads, problem.spec.dim)),
        value(PackByHead(problem.value, problem.spec.key_value_heads, problem.spec.dim)),
        value_squares(Squares(value)),
        key_norms(LargestKeyNorms(problem)) {}

  std::vector<double> key;
  std::vector<double> value;
  std::vector<double> value_squares;
  std::vector<double> key_norms;  // [documents, heads], the largest
};

// Computes one block of queries after the other; belongs to one thread.
class BlockAttention {
 public:
  BlockAttention(const DenseProblem& problem, const ForwardRows& packed, DenseResult* result)
      : problem_(problem), packed_(packed), result_(result) {}

  void Run(const QueryBlock& block, int head) {
    const int key_value_head = head / (spec_.query_heads / spec_.key_value_heads);
    const model::Document& document = problem_.documents[block.document];
    first_key_ = (key_value_head * tokens_ + block.first_token) * spec_.dim;
    first_row_ = (block.first_token + block.begin) * spec_.query_heads + head;
    count_ = static_cast<int>(block.end - block.begin);
    for (int lane = 0; lane < count_; ++lane) {
      visible_[lane] = VisibleKeys(document, block.begin + lane);
    }
    all_ = {visible_[0].begin, visible_[count_ - 1].end};
    const int64_t common_begin = visible_[count_ - 1].begin;
    common_ = {common_begin, std::max(common_begin, visible_[0].end)};
    ComputeScores();
    ComputeWeights();
    SumValues(packed_.value, &output_);
    SquareWeights();
    SumValues(packed_.value_squares, &squares_);
    StoreOutput();
    StoreAllowed(document.length,
                 packed_.key_norms[block.document * spec_.key_value_heads + key_value_head]);
  }

 private:
  // The score, then the weight, of each query for a key in all_.
  Lanes& Weights(int64_t key) { return weights_[key - all_.begin]; }

  void ComputeScores() {
    query_.fill({});
    for (int lane = 0; lane < count_; ++lane) {
      for (int d = 0; d < spec_.dim; ++d) {
        query_[d][lane] = scale_ * problem_.query[Row(lane) * spec_.dim + d];
      }
    }
    const int64_t groups = (all_.end - all_.begin + kGroup - 1) / kGroup;
    weights_.assign(groups * kGroup, {});
    const Matrix keys = {&packed_.key[first_key_ + all_.begin * spec_.dim], spec_.dim, 1};
    RunWithWidestVectors<SumProductsLoop>(groups, int64_t{spec_.dim}, keys, query_.data(),
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
      result_->lse[Row(lane)] = sum_[lane] == 0 ? -kInfinity : maximum[lane] + std::log(sum_[lane]);
    }
  }

  // Weights become what tolerance.h squares of them.
  void SquareWeights() {
    const double floor = Tolerance::WeightFloor(spec_.element);
    for (Lanes& weights : weights_) {
      for (double& weight : weights) weight = weight == 0 ? 0 : (weight + floor) * (weight + floor);
    }
  }

  // sums = the rows of the keys, weighted.
  void SumValues(const std::vector<double>& rows, std::array<Lanes, kMaxHeadDim>* sums) {
    sums->fill({});
    SumEdgeValues(rows, {all_.begin, common_.begin}, sums);
    for (int64_t key = common_.begin; key < common_.end; key += kKeyChunk) {
      const Matrix values = {&rows[first_key_ + key * spec_.dim], 1, spec_.dim};
      RunWithWidestVectors<SumProductsLoop>(int64_t{spec_.dim / kGroup},
                                            std::min(kKeyChunk, common_.end - key), values,
                                            &Weights(key), sums->data());
    }
    SumEdgeValues(rows, {common_.end, all_.end}, sums);
  }

  // A value that a query does not see may be NaN, so that a weight of 0 would not hide it.
  void SumEdgeValues(const std::vector<double>& rows, KeyRange keys,
                     std::array<Lanes, kMaxHeadDim>* sums) {
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      const double* value = &rows[first_key_ + key * spec_.dim];
      for (int lane = 0; lane < count_; ++lane) {
        const double weight = Weights(key)[lane];
        if (weight == 0) continue;
        for (int d = 0; d < spec_.dim; ++d) (*sums)[d][lane] += weight * value[d];
      }
    }
  }

  void StoreOutput() {
    for (int lane = 0; lane < count_; ++lane) {
      if (sum_[lane] == 0) continue;  // saw no key: its output stays 0
      for (int d = 0; d < spec_.dim; ++d) {
        result_->output[Row(lane) * spec_.dim + d] = output_[d][lane] / sum_[lane];
      }
    }
  }

  void StoreAllowed(int64_t length, double key_norm) {
    for (int lane = 0; lane < count_; ++lane) {
      const double norm = FiniteNorm(&problem_.query[Row(lane) * spec_.dim], spec_.dim);
      const Tolerance tolerance(spec_.element, length, scale_ * norm * key_norm);
      result_->lse_allowed[Row(lane)] = tolerance.AllowedLse();
      for (int d = 0; d < spec_.dim && sum_[lane] != 0; ++d) {
        const double unit =
            (std::abs(output_[d][lane]) + std::sqrt(squares_[d][lane])) / sum_[lane];
        result_->output_allowed[Row(lane) * spec_.dim + d] = tolerance.Allowed(unit);
      }
    }
  }

  // The row of O of a lane's query, of all heads.
  int64_t Row(int lane) const { return first_row_ + int64_t{lane} * spec_.query_heads; }

  const DenseProblem& problem_;
  const KernelSpec& spec_ = problem_.spec;
  const ForwardRows& packed_;
  DenseResult* const result_;
  const double scale_ = spec_.scale;
  const int64_t tokens_ = problem_.key.size() / (spec_.key_value_heads * spec_.dim);

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
  std::array<Lanes, kMaxHeadDim> squares_;  // sums of squared weights and values
};

}  // namespace

DenseResult DenseAttention(const DenseProblem& problem, const DenseProgress& progress) {
  const std::vector<QueryBlock> blocks = MakeBlocks(problem.documents);
  const ForwardRows packed(problem);
  DenseResult result;
  result.output.resize(problem.query.size());
  result.output_allowed.resize(problem.query.size());
  result.lse.resize(problem.query.size() / problem.spec.dim);
  result.lse_allowed.resize(result.lse.size());
  BlockCounter counter(problem.documents, problem.spec.query_heads, progress);
  std::atomic<size_t> next{0};
  auto work = [&] {
    BlockAttention attention(problem, packed, &result);
    for (size_t i = next++; i < blocks.size(); i = next++) {
      for (int head = 0; head < problem.spec.query_heads; ++head) attention.Run(blocks[i], head);
      counter.Add(problem.documents[blocks[i].document], blocks[i].begin, problem.spec.query_heads);
    }
  };
  const int others = static_cast<int>(std::thread::hardware_concurrency()) - 1;
  std::vector<std::thread> threads = StartThreads(std::max(0, others), [&](int) { work(); });
  work();
  for (std::thread& thread : threads) thread.join();
  return result;
}

}  // namespace flashcp
