// The dense backward reference decides what exact gradients are: the chain rule in double, for each
// query and head over all keys that the mask shows,
//   p = softmax(s),  dp_j = do v_j,  ds_j = p_j (dp_j - sum_k p_k dp_k) scale,
//   dq += ds_j k_j,  dk_j += ds_j q,  dv_j += p_j do.
//
// Queries are taken 16 at a time, side by side in the lanes of vectors, and keys that only some of
// the 16 see by plain loops, as in dense_reference.cc. A thread owns a document and a key/value
// head, so that every sum has one order.

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "runtime/check/dense_loops.h"
#include "runtime/check/dense_reference.h"
#include "runtime/widest_vectors.h"
#include "support/start_threads.h"

namespace flashcp {
namespace {

using namespace dense;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The gradients of one document and key/value head; belongs to one thread.
class DocumentBackward {
 public:
  DocumentBackward(const DenseProblem& problem, const std::vector<double>& key,
                   const std::vector<double>& value, absl::Span<const float> output_gradient,
                   DenseGradients* gradients)
      : problem_(problem),
        key_(key),
        value_(value),
        output_gradient_(output_gradient),
        gradients_(*gradients) {}

  void Run(const DenseDocument& document, int64_t first_token, int key_value_head) {
    length_ = document.length;
    const int64_t tokens = problem_.key.size() / (problem_.key_value_heads * problem_.dim);
    first_key_ = (key_value_head * tokens + first_token) * problem_.dim;
    key_sums_.assign(chunks_ * (length_ + kGroup), {});
    value_sums_.assign(chunks_ * (length_ + kGroup), {});
    const int group = problem_.query_heads / problem_.key_value_heads;
    for (int head = key_value_head * group; head < (key_value_head + 1) * group; ++head) {
      for (int64_t begin = 0; begin < length_; begin += kLanes) {
        count_ = static_cast<int>(std::min<int64_t>(kLanes, length_ - begin));
        first_row_ = (first_token + begin) * problem_.query_heads + head;
        RunBlock(document, begin);
      }
    }
    Store(first_token, key_value_head);
  }

 private:
  void RunBlock(const DenseDocument& document, int64_t begin) {
    for (int lane = 0; lane < count_; ++lane) {
      visible_[lane] = VisibleKeys(document, begin + lane);
    }
    all_ = {visible_[0].begin, visible_[count_ - 1].end};
    const int64_t common_begin = visible_[count_ - 1].begin;
    common_ = {common_begin, std::max(common_begin, visible_[0].end)};
    LoadQueries();
    Multiply(key_, query_, scale_, &weights_);
    Multiply(value_, output_gradient_lanes_, 1, &score_gradients_);
    ComputeWeights();
    ComputeScoreGradients();
    AddQueryGradients();
    AddToKeys(score_gradients_, query_, &key_sums_);
    AddToKeys(weights_, output_gradient_lanes_, &value_sums_);
  }

  void LoadQueries() {
    query_.fill({});
    output_gradient_lanes_.fill({});
    for (int lane = 0; lane < count_; ++lane) {
      const int64_t first = (first_row_ + int64_t{lane} * problem_.query_heads) * problem_.dim;
      for (int d = 0; d < problem_.dim; ++d) {
        query_[d][lane] = problem_.query[first + d];
        output_gradient_lanes_[d][lane] = output_gradient_[first + d];
      }
    }
  }

  // products[key - all_.begin][lane] = scale * row of the key times the lane's row.
  void Multiply(const std::vector<double>& rows, const std::array<Lanes, kMaxHeadDim>& lanes,
                double scale, std::vector<Lanes>* products) {
    const int64_t groups = (all_.end - all_.begin + kGroup - 1) / kGroup;
    products->assign(groups * kGroup, {});
    const Matrix matrix = {&rows[first_key_ + all_.begin * problem_.dim], problem_.dim, 1};
    RunWithWidestVectors<SumProductsLoop>(groups, int64_t{problem_.dim}, matrix, lanes.data(),
                                          products->data());
    for (Lanes& product : *products) {
      for (double& x : product) x *= scale;
    }
  }

  bool Sees(int lane, int64_t key) const {
    return lane < count_ && visible_[lane].begin <= key && key < visible_[lane].end;
  }

  // Scores become softmax weights; 0 for what a lane does not see.
  void ComputeWeights() {
    Lanes maximum;
    Lanes sum = {};
    maximum.fill(-kInfinity);
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double& score = weights_[key - all_.begin][lane];
        if (!Sees(lane, key)) score = -kInfinity;
        maximum[lane] = score > maximum[lane] ? score : maximum[lane];
      }
    }
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double& weight = weights_[key - all_.begin][lane];
        weight = weight == -kInfinity ? 0 : std::exp(weight - maximum[lane]);
        sum[lane] += weight;
      }
    }
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        if (sum[lane] != 0) weights_[key - all_.begin][lane] /= sum[lane];
      }
    }
  }

  void ComputeScoreGradients() {
    Lanes mean = {};  // of dp, weighted with p
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        if (!Sees(lane, key)) continue;
        mean[lane] += weights_[key - all_.begin][lane] * score_gradients_[key - all_.begin][lane];
      }
    }
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double& gradient = score_gradients_[key - all_.begin][lane];
        gradient = Sees(lane, key)
                       ? weights_[key - all_.begin][lane] * (gradient - mean[lane]) * scale_
                       : 0;
      }
    }
  }

  void AddQueryGradients() {
    std::array<Lanes, kMaxHeadDim> sums = {};
    const Matrix keys = {&key_[first_key_ + common_.begin * problem_.dim], 1, problem_.dim};
    RunWithWidestVectors<SumProductsLoop>(
        int64_t{problem_.dim / kGroup}, common_.end - common_.begin, keys,
        score_gradients_.data() + (common_.begin - all_.begin), sums.data());
    ForEachEdgePair([&](int64_t key, int lane) {
      const double* row = &key_[first_key_ + key * problem_.dim];
      const double gradient = score_gradients_[key - all_.begin][lane];
      for (int d = 0; d < problem_.dim; ++d) sums[d][lane] += gradient * row[d];
    });
    for (int lane = 0; lane < count_; ++lane) {
      const int64_t first = (first_row_ + int64_t{lane} * problem_.query_heads) * problem_.dim;
      for (int d = 0; d < problem_.dim; ++d) gradients_.query[first + d] = sums[d][lane];
    }
  }

  // Calls visit(key, lane) for the pairs outside of common_: what is not seen may be NaN, so that a
  // weight of 0 would not hide it.
  template <typename Visit>
  void ForEachEdgePair(const Visit& visit) const {
    auto visit_range = [&](int64_t begin, int64_t end) {
      for (int64_t key = begin; key < end; ++key) {
        for (int lane = 0; lane < count_; ++lane) {
          if (Sees(lane, key)) visit(key, lane);
        }
      }
    };
    visit_range(all_.begin, std::min(common_.begin, all_.end));
    visit_range(std::max(common_.end, all_.begin), all_.end);
  }

  // sums[chunk][key] += sum over lanes of weights[key][lane] * rows[d][lane], elements d of a chunk
  // side by side.
  void AddToKeys(const std::vector<Lanes>& weights, const std::array<Lanes, kMaxHeadDim>& rows,
                 std::vector<Lanes>* sums) {
    const int64_t groups = (common_.end - common_.begin) / kGroup;
    const int64_t rest = common_.begin + groups * kGroup;  // what makes no group
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      std::array<Lanes, kLanes> elements = {};  // by lane
      for (int lane = 0; lane < count_; ++lane) {
        for (int d = 0; d < kLanes; ++d) elements[lane][d] = rows[chunk * kLanes + d][lane];
      }
      Lanes* sum = sums->data() + chunk * (length_ + kGroup);
      if (groups > 0) {
        const Matrix matrix = {weights[common_.begin - all_.begin].data(), kLanes, 1};
        RunWithWidestVectors<SumProductsLoop>(groups, int64_t{count_}, matrix, elements.data(),
                                              sum + common_.begin);
      }
      auto add = [&](int64_t key, int lane) {
        for (int d = 0; d < kLanes; ++d) {
          sum[key][d] += weights[key - all_.begin][lane] * elements[lane][d];
        }
      };
      for (int64_t key = rest; key < common_.end; ++key) {
        for (int lane = 0; lane < count_; ++lane) add(key, lane);
      }
      ForEachEdgePair(add);
    }
  }

  void Store(int64_t first_token, int key_value_head) {
    for (int64_t key = 0; key < length_; ++key) {
      const int64_t first =
          ((first_token + key) * problem_.key_value_heads + key_value_head) * problem_.dim;
      for (int d = 0; d < problem_.dim; ++d) {
        const int64_t at = d / kLanes * (length_ + kGroup) + key;
        gradients_.key[first + d] = key_sums_[at][d % kLanes];
        gradients_.value[first + d] = value_sums_[at][d % kLanes];
      }
    }
  }

  const DenseProblem& problem_;
  const std::vector<double>& key_;    // [heads, tokens, dim]
  const std::vector<double>& value_;  // [heads, tokens, dim]
  const absl::Span<const float> output_gradient_;
  DenseGradients& gradients_;
  const double scale_ = 1 / std::sqrt(static_cast<double>(problem_.dim));
  const int chunks_ = (problem_.dim + kLanes - 1) / kLanes;  // of the elements of a row

  // Of the document and head at hand:
  int64_t length_;
  int64_t first_key_;              // element of the document's first key
  std::vector<Lanes> key_sums_;    // [chunks][keys]
  std::vector<Lanes> value_sums_;  // [chunks][keys]

  // Of the block of queries at hand:
  int64_t first_row_;  // of the first query; the next one is query_heads rows further
  int count_;          // queries
  std::array<KeyRange, kLanes> visible_;
  KeyRange all_;     // keys that some query sees
  KeyRange common_;  // keys that all queries see
  std::array<Lanes, kMaxHeadDim> query_;
  std::array<Lanes, kMaxHeadDim> output_gradient_lanes_;
  std::vector<Lanes> weights_;          // by key of all_
  std::vector<Lanes> score_gradients_;  // by key of all_
};

}  // namespace

DenseGradients DenseAttentionBackward(const DenseProblem& problem,
                                      absl::Span<const float> output_gradient) {
  const std::vector<double> key = PackByHead(problem.key, problem.key_value_heads, problem.dim);
  const std::vector<double> value = PackByHead(problem.value, problem.key_value_heads, problem.dim);
  DenseGradients gradients;
  gradients.query.resize(problem.query.size());
  gradients.key.resize(problem.key.size());
  gradients.value.resize(problem.value.size());
  std::vector<int64_t> first_tokens;
  int64_t tokens = 0;
  for (const DenseDocument& document : problem.documents) {
    first_tokens.push_back(tokens);
    tokens += document.length;
  }
  std::atomic<size_t> next{0};
  auto work = [&] {
    DocumentBackward backward(problem, key, value, output_gradient, &gradients);
    const size_t count = problem.documents.size() * problem.key_value_heads;
    for (size_t i = next++; i < count; i = next++) {
      const size_t document = i / problem.key_value_heads;
      backward.Run(problem.documents[document], first_tokens[document],
                   static_cast<int>(i % problem.key_value_heads));
    }
  };
  const int others = static_cast<int>(std::thread::hardware_concurrency()) - 1;
  std::vector<std::thread> threads = StartThreads(std::max(0, others), [&](int) { work(); });
  work();
  for (std::thread& thread : threads) thread.join();
  return gradients;
}

}  // namespace flashcp
