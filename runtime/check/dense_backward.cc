// The dense backward reference decides what exact gradients are: the chain rule in double, for each
// query and head over all keys that the mask shows,
//   p = softmax(s),  dp_j = do v_j,  ds_j = p_j (dp_j - sum_k p_k dp_k) scale,
//   dq += ds_j k_j,  dk_j += ds_j q,  dv_j += p_j do,
//
// and the errors that tolerance.h allows, from the squares of the same terms.
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
#include "runtime/check/tolerance.h"
#include "runtime/cpu/widest_vectors.h"
#include "support/start_threads.h"

namespace flashcp {
namespace {

using namespace dense;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Keys and values as [heads, tokens, dim] and kGroup - 1 more rows of any content.
struct BackwardRows {
  explicit BackwardRows(const DenseProblem& problem)
      : key(PackByHead(problem.key, problem.spec.key_value_heads, problem.spec.dim)),
        key_squares(Squares(key)),
        value(PackByHead(problem.value, problem.spec.key_value_heads, problem.spec.dim)) {}

  std::vector<double> key;
  std::vector<double> key_squares;
  std::vector<double> value;
};

// The gradients of one document and key/value head; belongs to one thread.
class DocumentBackward {
 public:
  DocumentBackward(const DenseProblem& problem, const BackwardRows& packed,
                   const DenseResult& forward, absl::Span<const float> output_gradient,
                   BlockCounter* counter, DenseGradients* gradients)
      : problem_(problem),
        packed_(packed),
        forward_(forward),
        output_gradient_(output_gradient),
        counter_(*counter),
        gradients_(*gradients) {}

  void Run(const model::Document& document, int64_t first_token, int key_value_head) {
    length_ = document.length;
    const int64_t tokens = problem_.key.size() / (spec_.key_value_heads * spec_.dim);
    first_key_ = (key_value_head * tokens + first_token) * spec_.dim;
    for (std::vector<Lanes>* sums : {&key_sums_, &value_sums_, &key_squares_, &value_squares_}) {
      sums->assign(chunks_ * (length_ + kGroup), {});
    }
    key_norm_ = LargestNorm(problem_.key, spec_.key_value_heads, spec_.dim, key_value_head,
                            first_token, length_);
    query_norm_ = 0;
    const int group = spec_.query_heads / spec_.key_value_heads;
    for (int head = key_value_head * group; head < (key_value_head + 1) * group; ++head) {
      for (int64_t begin = 0; begin < length_; begin += kLanes) {
        count_ = static_cast<int>(std::min<int64_t>(kLanes, length_ - begin));
        first_row_ = (first_token + begin) * spec_.query_heads + head;
        RunBlock(document, begin);
        counter_.Add(document, begin, 1);
      }
    }
    Store(first_token, key_value_head);
  }

 private:
  void RunBlock(const model::Document& document, int64_t begin) {
    for (int lane = 0; lane < count_; ++lane) {
      visible_[lane] = VisibleKeys(document, begin + lane);
    }
    all_ = {visible_[0].begin, visible_[count_ - 1].end};
    const int64_t common_begin = visible_[count_ - 1].begin;
    common_ = {common_begin, std::max(common_begin, visible_[0].end)};
    LoadQueries();
    Multiply(packed_.key, query_, scale_, &weights_);
    Multiply(packed_.value, output_gradient_lanes_, 1, &score_gradients_);
    ComputeWeights();
    ComputeScoreGradients();
    AddToKeys(score_gradients_, query_, &key_sums_);
    AddToKeys(weights_, output_gradient_lanes_, &value_sums_);
    AddToKeys(size_squares_, Squares(query_), &key_squares_);
    StoreQueryGradients();
    for (Lanes& weights : weights_) {
      for (double& weight : weights) weight = Floored(weight) * Floored(weight);
    }
    AddToKeys(weights_, Squares(output_gradient_lanes_), &value_squares_);
  }

  // The size of a weight in squared terms.
  double Floored(double weight) const {
    return weight == 0 ? 0 : weight + Tolerance::WeightFloor(spec_.element);
  }

  static std::array<Lanes, kMaxHeadDim> Squares(std::array<Lanes, kMaxHeadDim> rows) {
    for (Lanes& row : rows) {
      for (double& x : row) x *= x;
    }
    return rows;
  }

  void LoadQueries() {
    query_.fill({});
    output_gradient_lanes_.fill({});
    for (int lane = 0; lane < count_; ++lane) {
      const int64_t first = FirstElement(lane);
      for (int d = 0; d < spec_.dim; ++d) {
        query_[d][lane] = problem_.query[first + d];
        output_gradient_lanes_[d][lane] = output_gradient_[first + d];
      }
    }
  }

  // Returns the first element of a lane's query, in tensors of all queries.
  int64_t FirstElement(int lane) const {
    return (first_row_ + int64_t{lane} * spec_.query_heads) * spec_.dim;
  }

  // products[key - all_.begin][lane] = scale * row of the key times the lane's row.
  void Multiply(const std::vector<double>& rows, const std::array<Lanes, kMaxHeadDim>& lanes,
                double scale, std::vector<Lanes>* products) {
    const int64_t groups = (all_.end - all_.begin + kGroup - 1) / kGroup;
    products->assign(groups * kGroup, {});
    const Matrix matrix = {&rows[first_key_ + all_.begin * spec_.dim], spec_.dim, 1};
    RunWithWidestVectors<SumProductsLoop>(groups, int64_t{spec_.dim}, matrix, lanes.data(),
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
    Lanes mean = {};     // of dp, weighted with p: delta
    Lanes squares = {};  // of what delta is a sum of
    for (int lane = 0; lane < count_; ++lane) {
      const double* output = &forward_.output[FirstElement(lane)];
      for (int d = 0; d < spec_.dim; ++d) {
        const double product = output_gradient_lanes_[d][lane] * output[d];
        squares[lane] += product * product;
      }
    }
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        if (!Sees(lane, key)) continue;
        const double product =
            weights_[key - all_.begin][lane] * score_gradients_[key - all_.begin][lane];
        mean[lane] += product;
        squares[lane] += product * product;
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) delta_error_[lane] = std::sqrt(squares[lane]);
    size_squares_.assign(score_gradients_.size(), {});
    for (int64_t key = all_.begin; key < all_.end; ++key) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t at = key - all_.begin;
        double& gradient = score_gradients_[at][lane];
        if (!Sees(lane, key)) {
          gradient = 0;
          continue;
        }
        const double difference = gradient - mean[lane];
        const double weight = scale_ * weights_[at][lane];
        const double size =
            scale_ * Floored(weights_[at][lane]) * (std::abs(difference) + delta_error_[lane]);
        gradient = weight * difference;
        size_squares_[at][lane] = size * size;
      }
    }
  }

  void StoreQueryGradients() {
    const std::array<Lanes, kMaxHeadDim> sums = SumKeys(score_gradients_, packed_.key);
    const std::array<Lanes, kMaxHeadDim> squares = SumKeys(size_squares_, packed_.key_squares);
    const std::array<Lanes, kMaxHeadDim> means = SumKeys(weights_, packed_.key);
    for (int lane = 0; lane < count_; ++lane) {
      const int64_t first = FirstElement(lane);
      const double norm = FiniteNorm(&problem_.query[first], spec_.dim);
      query_norm_ = std::max(query_norm_, norm);
      const Tolerance tolerance(spec_.element, length_, scale_ * norm * key_norm_);
      for (int d = 0; d < spec_.dim; ++d) {
        gradients_.query[first + d] = sums[d][lane];
        gradients_.query_allowed[first + d] =
            tolerance.Allowed(std::abs(sums[d][lane]) + std::sqrt(squares[d][lane]) +
                              scale_ * delta_error_[lane] * std::abs(means[d][lane]));
      }
    }
  }

  // The sums over keys of weights[key] * rows of the key.
  std::array<Lanes, kMaxHeadDim> SumKeys(const std::vector<Lanes>& weights,
                                         const std::vector<double>& rows) const {
    std::array<Lanes, kMaxHeadDim> sums = {};
    const Matrix keys = {&rows[first_key_ + common_.begin * spec_.dim], 1, spec_.dim};
    RunWithWidestVectors<SumProductsLoop>(int64_t{spec_.dim / kGroup}, common_.end - common_.begin,
                                          keys, weights.data() + (common_.begin - all_.begin),
                                          sums.data());
    ForEachEdgePair([&](int64_t key, int lane) {
      const double* row = &rows[first_key_ + key * spec_.dim];
      const double weight = weights[key - all_.begin][lane];
      for (int d = 0; d < spec_.dim; ++d) sums[d][lane] += weight * row[d];
    });
    return sums;
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
    const int group = spec_.query_heads / spec_.key_value_heads;
    const Tolerance tolerance(spec_.element, length_ * group, scale_ * query_norm_ * key_norm_);
    for (int64_t key = 0; key < length_; ++key) {
      const int64_t first =
          ((first_token + key) * spec_.key_value_heads + key_value_head) * spec_.dim;
      for (int d = 0; d < spec_.dim; ++d) {
        const int64_t at = d / kLanes * (length_ + kGroup) + key;
        gradients_.key[first + d] = key_sums_[at][d % kLanes];
        gradients_.value[first + d] = value_sums_[at][d % kLanes];
        gradients_.key_allowed[first + d] = tolerance.Allowed(
            std::abs(key_sums_[at][d % kLanes]) + std::sqrt(key_squares_[at][d % kLanes]));
        gradients_.value_allowed[first + d] = tolerance.Allowed(
            std::abs(value_sums_[at][d % kLanes]) + std::sqrt(value_squares_[at][d % kLanes]));
      }
    }
  }

  const DenseProblem& problem_;
  const KernelSpec& spec_ = problem_.spec;
  const BackwardRows& packed_;
  const DenseResult& forward_;
  const absl::Span<const float> output_gradient_;
  BlockCounter& counter_;
  DenseGradients& gradients_;
  const double scale_ = spec_.scale;
  const int chunks_ = (spec_.dim + kLanes - 1) / kLanes;  // of the elements of a row

  // Of the document and head at hand:
  int64_t length_;
  int64_t first_key_;                 // element of the document's first key
  std::vector<Lanes> key_sums_;       // [chunks][keys]
  std::vector<Lanes> value_sums_;     // [chunks][keys]
  std::vector<Lanes> key_squares_;    // sums of the squared terms of key_sums_
  std::vector<Lanes> value_squares_;  // of value_sums_
  double key_norm_;                   // the largest
  double query_norm_;                 // the largest so far

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
  std::vector<Lanes> size_squares_;     // squared sizes of score_gradients_, by key of all_
  Lanes delta_error_;                   // the size of the errors of delta
};

}  // namespace

DenseGradients DenseAttentionBackward(const DenseProblem& problem, const DenseResult& forward,
                                      absl::Span<const float> output_gradient,
                                      const DenseProgress& progress) {
  const BackwardRows packed(problem);
  DenseGradients gradients;
  gradients.query.resize(problem.query.size());
  gradients.key.resize(problem.key.size());
  gradients.value.resize(problem.value.size());
  gradients.query_allowed.resize(problem.query.size());
  gradients.key_allowed.resize(problem.key.size());
  gradients.value_allowed.resize(problem.value.size());
  std::vector<int64_t> first_tokens;
  int64_t tokens = 0;
  for (const model::Document& document : problem.documents) {
    first_tokens.push_back(tokens);
    tokens += document.length;
  }
  BlockCounter counter(problem.documents, problem.spec.query_heads, progress);
  std::atomic<size_t> next{0};
  auto work = [&] {
    DocumentBackward backward(problem, packed, forward, output_gradient, &counter, &gradients);
    const size_t count = problem.documents.size() * problem.spec.key_value_heads;
    for (size_t i = next++; i < count; i = next++) {
      const size_t document = i / problem.spec.key_value_heads;
      backward.Run(problem.documents[document], first_tokens[document],
                   static_cast<int>(i % problem.spec.key_value_heads));
    }
  };
  const int others = static_cast<int>(std::thread::hardware_concurrency()) - 1;
  std::vector<std::thread> threads = StartThreads(std::max(0, others), [&](int) { work(); });
  work();
  for (std::thread& thread : threads) thread.join();
  return gradients;
}

}  // namespace flashcp
