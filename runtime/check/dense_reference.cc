// The dense reference decides what is exact: for each query and head, all scores of the keys that
// the mask shows, their softmax in two passes, the weighted sum of the values, all in double.

#include "runtime/check/dense_reference.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "runtime/kernel_spec.h"

namespace flashcp {
namespace {

// Queries [begin, end) of a document, for all heads: the unit of work of a thread.
struct QueryBlock {
  const DenseDocument* document;
  int64_t first_token;  // of the document, in global order
  int64_t begin;
  int64_t end;
};

std::vector<QueryBlock> MakeBlocks(const std::vector<DenseDocument>& documents) {
  constexpr int64_t kQueries = 16;
  std::vector<QueryBlock> blocks;
  int64_t token = 0;
  for (const DenseDocument& document : documents) {
    for (int64_t begin = 0; begin < document.length; begin += kQueries) {
      blocks.push_back({&document, token, begin, std::min(begin + kQueries, document.length)});
    }
    token += document.length;
  }
  return blocks;
}

bool Sees(const DenseDocument& document, int64_t query, int64_t key) {
  switch (document.mask) {
    case MaskType::kFull:
      return true;
    case MaskType::kCausal:
      return key <= query;
    case MaskType::kWindow:
      return key <= query && key > query - document.window;
  }
  return false;
}

// Eight sums side by side, which a compiler may keep in vector registers.
double Dot(const double* a, const float* b, int count) {
  double sums[8] = {};
  for (int i = 0; i < count; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
  }
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

void AttendQuery(const DenseProblem& problem, const QueryBlock& block, int64_t query, int head,
                 std::vector<double>* weights, DenseResult* result) {
  const int dim = problem.dim;
  const int64_t stride = int64_t{problem.key_value_heads} * dim;
  const int key_value_head = head / (problem.query_heads / problem.key_value_heads);
  const int64_t row = (block.first_token + query) * problem.query_heads + head;
  const int64_t first_key = block.first_token * stride + int64_t{key_value_head} * dim;
  const int64_t length = block.document->length;
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();

  double query_row[256];
  std::copy_n(&problem.query[row * dim], dim, query_row);
  weights->assign(length, -kInfinity);
  double maximum = -kInfinity;
  for (int64_t key = 0; key < length; ++key) {
    if (!Sees(*block.document, query, key)) continue;
    double score = scale * Dot(query_row, &problem.key[first_key + key * stride], dim);
    (*weights)[key] = score;
    if (score > maximum) maximum = score;
  }
  double sum = 0;
  for (double& weight : *weights) {
    weight = weight == -kInfinity ? 0 : std::exp(weight - maximum);
    sum += weight;
  }
  result->lse[row] = sum == 0 ? -kInfinity : maximum + std::log(sum);
  double* output = &result->output[row * dim];
  for (int64_t key = 0; key < length; ++key) {
    if ((*weights)[key] == 0) continue;
    const float* value = &problem.value[first_key + key * stride];
    double weight = (*weights)[key] / sum;
    for (int d = 0; d < dim; ++d) output[d] += weight * value[d];
  }
}

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
  DenseResult result;
  result.output.resize(problem.query.size());
  result.lse.resize(problem.query.size() / problem.dim);
  std::atomic<size_t> next{0};
  auto work = [&] {
    std::vector<double> weights;
    for (size_t i = next++; i < blocks.size(); i = next++) {
      for (int head = 0; head < problem.query_heads; ++head) {
        for (int64_t query = blocks[i].begin; query < blocks[i].end; ++query) {
          AttendQuery(problem, blocks[i], query, head, &weights, &result);
        }
      }
    }
  };
  std::vector<std::thread> threads(std::max(1u, std::thread::hardware_concurrency()));
  for (std::thread& thread : threads) thread = std::thread(work);
  for (std::thread& thread : threads) thread.join();
  return result;
}

}  // namespace flashcp
