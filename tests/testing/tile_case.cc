// One tile with random inputs and its expected results.

#include "tests/testing/tile_case.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "gtest/gtest.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/reference_kernel.h"
#include "runtime/numeric.h"

namespace flashcp::testing {
namespace {

// The bytes of a tensor [rows, heads] with further heads before and behind those of each row.
class WideRows {
 public:
  WideRows(const std::vector<char>& rows, size_t row_bytes, size_t further_bytes)
      : row_bytes_(row_bytes), further_bytes_(further_bytes) {
    for (size_t begin = 0; begin < rows.size(); begin += row_bytes) {
      bytes_.insert(bytes_.end(), further_bytes, kFurther);
      bytes_.insert(bytes_.end(), rows.begin() + begin, rows.begin() + begin + row_bytes);
      bytes_.insert(bytes_.end(), further_bytes, kFurther);
    }
  }
  char* first() { return bytes_.data() + further_bytes_; }

  // The tensor without the further heads, which are expected to be what they were.
  std::vector<char> Rows() const {
    std::vector<char> rows;
    for (size_t i = 0; i < bytes_.size(); ++i) {
      const size_t in_row = i % (row_bytes_ + 2 * further_bytes_) - further_bytes_;
      if (in_row < row_bytes_) {
        rows.push_back(bytes_[i]);
      } else {
        EXPECT_EQ(bytes_[i], kFurther) << "byte " << i;
      }
    }
    return rows;
  }

 private:
  static constexpr char kFurther = '\xff';  // NaN in every type

  const size_t row_bytes_, further_bytes_;
  std::vector<char> bytes_;
};

WideRows Widen(model::DType type, const std::vector<float>& tensor, int heads, int dim,
               int further_heads) {
  const size_t head_bytes = dim * BytesPerElement(type);
  return WideRows(ToElements(type, tensor), heads * head_bytes, further_heads * head_bytes);
}

}  // namespace

TileCase::TileCase(const KernelSpec& spec, const TileShape& shape, uint64_t seed)
    : spec_(spec), shape_(shape) {
  const int64_t keys = shape.key_count * spec.key_value_heads;
  query = RandomTensor(4 * seed, rows() * spec.dim, spec.element);
  key = RandomTensor(4 * seed + 1, keys * spec.dim, spec.element);
  value = RandomTensor(4 * seed + 2, keys * spec.value_dim, spec.element);
  output_gradient = RandomTensor(4 * seed + 3, rows() * spec.value_dim, spec.element);
}

TestResult TileCase::Forward(CpuKernels* kernels) const {
  return Forward({0, shape_.key_count}, {0}, kernels);
}

TestResult TileCase::Forward(const std::vector<int64_t>& cuts, const std::vector<int>& order,
                             CpuKernels* kernels) const {
  const int bytes = BytesPerElement(spec_.element);
  WideRows q = Widen(spec_.element, query, spec_.query_heads, spec_.dim, further_heads_);
  WideRows k = Widen(spec_.element, key, spec_.key_value_heads, spec_.dim, further_heads_);
  WideRows v = Widen(spec_.element, value, spec_.key_value_heads, spec_.value_dim, further_heads_);
  std::vector<float> accumulator(rows() * spec_.value_dim, std::nanf(""));
  WideRows output =
      Widen(spec_.element, accumulator, spec_.query_heads, spec_.value_dim, further_heads_);
  WideRows lse = Widen(model::DType::kF32, std::vector<float>(rows(), std::nanf("")),
                       spec_.query_heads, 1, further_heads_);
  const int64_t token = int64_t{spec_.key_value_heads + 2 * further_heads_} * bytes;
  std::vector<AttentionTile> tiles;
  for (int piece : order) {
    const int64_t begin = cuts[piece];
    AttentionTile tile = {};
    tile.query = q.first();
    tile.key = k.first() + begin * token * spec_.dim;
    tile.value = v.first() + begin * token * spec_.value_dim;
    tile.output = output.first();
    tile.lse = reinterpret_cast<float*>(lse.first());
    tile.accumulator = order.size() == 1 ? nullptr : accumulator.data();
    tile.query_position = shape_.query_position;
    tile.key_position = shape_.key_position + begin;
    tile.query_count = shape_.query_count;
    tile.key_count = cuts[piece + 1] - begin;
    tile.band = shape_.mask.band();
    tile.query_row_heads = spec_.query_heads + 2 * further_heads_;
    tile.key_row_heads = spec_.key_value_heads + 2 * further_heads_;
    tile.head_end = spec_.query_heads;
    tile.first = tiles.empty();
    tile.last = tiles.size() + 1 == order.size();
    tiles.push_back(tile);
  }
  if (kernels == nullptr) {
    ReferenceAttention(spec_, tiles.data(), static_cast<int64_t>(tiles.size()));
  } else {
    kernels->Forward(tiles);
  }
  TestResult result;
  result.output = ToFloats(spec_.element, output.Rows());
  result.lse = ToFloats(model::DType::kF32, lse.Rows());
  return result;
}

TestGradients TileCase::Backward(const SavedRows& saved, float initial, CpuKernels* kernels) const {
  WideRows q = Widen(spec_.element, query, spec_.query_heads, spec_.dim, further_heads_);
  WideRows k = Widen(spec_.element, key, spec_.key_value_heads, spec_.dim, further_heads_);
  WideRows v = Widen(spec_.element, value, spec_.key_value_heads, spec_.value_dim, further_heads_);
  WideRows g =
      Widen(spec_.element, output_gradient, spec_.query_heads, spec_.value_dim, further_heads_);
  WideRows lse = Widen(model::DType::kF32, saved.lse, spec_.query_heads, 1, further_heads_);
  TestGradients sums;
  sums.query.assign(query.size(), initial);
  sums.key.assign(key.size(), initial);
  sums.value.assign(value.size(), initial);
  BackwardTile tile = {};
  tile.query = q.first();
  tile.key = k.first();
  tile.value = v.first();
  tile.output_gradient = g.first();
  tile.lse = reinterpret_cast<const float*>(lse.first());
  tile.delta = saved.delta.data();
  tile.query_gradient = sums.query.data();
  tile.key_gradient = sums.key.data();
  tile.value_gradient = sums.value.data();
  tile.query_position = shape_.query_position;
  tile.key_position = shape_.key_position;
  tile.query_count = shape_.query_count;
  tile.key_count = shape_.key_count;
  tile.band = shape_.mask.band();
  tile.query_row_heads = spec_.query_heads + 2 * further_heads_;
  tile.key_row_heads = spec_.key_value_heads + 2 * further_heads_;
  tile.head_end = spec_.query_heads;
  if (kernels == nullptr) {
    ReferenceAttentionBackward(spec_, &tile, 1);
  } else {
    kernels->Backward({&tile, 1});
  }
  return sums;
}

SavedRows TileCase::SavedBy(const TestResult& forward) const {
  SavedRows saved = {forward.lse, std::vector<float>(rows())};
  for (size_t i = 0; i < forward.output.size(); ++i) {
    saved.delta[i / spec_.value_dim] += forward.output[i] * output_gradient[i];
  }
  return saved;
}

DenseResult TileCase::Expected() const {
  DenseResult result;
  for (int64_t i = 0; i < shape_.query_count; ++i) {
    for (int head = 0; head < spec_.query_heads; ++head) AppendRow(i, head, &result);
  }
  return result;
}

DenseGradients TileCase::ExpectedGradients(const SavedRows& saved) const {
  DenseGradients sums;
  sums.query.resize(query.size());
  sums.key.resize(key.size());
  sums.value.resize(value.size());
  for (int64_t i = 0; i < shape_.query_count; ++i) {
    for (int64_t j = 0; j < shape_.key_count; ++j) {
      for (int head = 0; shape_.Sees(i, j) && head < spec_.query_heads; ++head) {
        AddPair(i * spec_.query_heads + head, KeyRow(j, head), saved, &sums);
      }
    }
  }
  return sums;
}

double TileCase::Score(int64_t row, int64_t key_row) const {
  double score = 0;
  for (int d = 0; d < spec_.dim; ++d) {
    score += double{query[row * spec_.dim + d]} * key[key_row * spec_.dim + d];
  }
  return score * spec_.scale;
}

int64_t TileCase::KeyRow(int64_t j, int head) const {
  return j * spec_.key_value_heads + head / (spec_.query_heads / spec_.key_value_heads);
}

void TileCase::AppendRow(int64_t i, int head, DenseResult* result) const {
  std::vector<double> output(spec_.value_dim, 0.0);
  double sum = 0;
  for (int64_t j = 0; j < shape_.key_count; ++j) {
    if (!shape_.Sees(i, j)) continue;
    const int64_t key_row = KeyRow(j, head);
    const double weight = std::exp(Score(i * spec_.query_heads + head, key_row));
    const float* v = &value[key_row * spec_.value_dim];
    sum += weight;
    for (int d = 0; d < spec_.value_dim; ++d) output[d] += weight * v[d];
  }
  for (double x : output) result->output.push_back(sum == 0 ? 0 : x / sum);
  result->lse.push_back(std::log(sum));
}

void TileCase::AddPair(int64_t row, int64_t key_row, const SavedRows& saved,
                       DenseGradients* sums) const {
  const float* q = &query[row * spec_.dim];
  const float* k = &key[key_row * spec_.dim];
  const float* v = &value[key_row * spec_.value_dim];
  const float* g = &output_gradient[row * spec_.value_dim];
  double dp = 0;
  for (int d = 0; d < spec_.value_dim; ++d) dp += double{g[d]} * v[d];
  const bool weighs = !std::isinf(saved.lse[row]);
  const double p = weighs ? std::exp(std::min(0.0, Score(row, key_row) - saved.lse[row])) : 0;
  const double ds = p * (dp - saved.delta[row]) * spec_.scale;
  for (int d = 0; d < spec_.dim; ++d) {
    sums->query[row * spec_.dim + d] += ds * k[d];
    sums->key[key_row * spec_.dim + d] += ds * q[d];
  }
  for (int d = 0; d < spec_.value_dim; ++d) sums->value[key_row * spec_.value_dim + d] += p * g[d];
}

}  // namespace flashcp::testing
