// Decides the synthetic length distributions that planners are compared on. The draws and their
// order are those of the study behind docs/planner.md, so that its figures can be repeated.

#include "benchmarks/distributions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "benchmarks/length_files.h"
#include "support/files.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

constexpr double kShortest = 16;    // tokens, of what the generators draw
constexpr double kLongLow = 16384;  // tokens, of a long document
constexpr double kLongHigh = 131072;
constexpr int64_t kMaxFileBytes = int64_t{1} << 28;
constexpr uint64_t kFileNumber = 9;
constexpr uint64_t kCountedNumber = 0;
constexpr int64_t kMostCounted = 10'000'000;

double Uniform(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}

// Median 900 tokens and a heavy tail.
LengthDraw Lognormal() {
  return [normal = std::normal_distribution<double>(0, 1)](std::mt19937_64& random) mutable {
    return std::max(kShortest, 900 * std::exp(1.6 * normal(random)));
  };
}

// Many documents: median 600 tokens, a light tail.
LengthDraw Short() {
  return [normal = std::normal_distribution<double>(0, 1)](std::mt19937_64& random) mutable {
    return std::max(kShortest, 600 * std::exp(normal(random)));
  };
}

// Four exponentials whose means span web pages to books.
LengthDraw PileLike() {
  return [](std::mt19937_64& random) {
    double part = Uniform(random);
    double mean = part < 0.6 ? 1200 : part < 0.85 ? 4000 : part < 0.97 ? 12000 : 100000;
    return std::max(kShortest, -mean * std::log(1 - Uniform(random)));
  };
}

// 60% of the tokens in documents of 16K to 128K (log-uniform), the others lognormal around 900.
LengthDraw LongDocuments() {
  double mean_long = (kLongHigh - kLongLow) / std::log(kLongHigh / kLongLow);
  double mean_short = 900 * std::exp(0.5);
  double long_share = 0.6 / mean_long / (0.6 / mean_long + 0.4 / mean_short);
  return [long_share,
          normal = std::normal_distribution<double>(0, 1)](std::mt19937_64& random) mutable {
    if (Uniform(random) < long_share)
      return kLongLow * std::pow(kLongHigh / kLongLow, Uniform(random));
    return std::max(kShortest, std::min(kLongLow, 900 * std::exp(normal(random))));
  };
}

LengthDraw Equal512() {
  return [](std::mt19937_64&) { return 512.0; };
}

// Fills a sequence with drawn documents, in random order; what is too long is cut.
SequenceDraw Packed(LengthDraw draw_length) {
  return [draw_length = std::move(draw_length)](int64_t tokens, int, std::mt19937_64& random) {
    LengthDraw draw = draw_length;  // every sequence starts in the same state
    std::vector<int64_t> lengths;
    for (int64_t left = tokens; left > 0; left -= lengths.back()) {
      double length = std::min(draw(random), static_cast<double>(left));
      lengths.push_back(static_cast<int64_t>(length));
    }
    std::shuffle(lengths.begin(), lengths.end(), random);
    return lengths;
  };
}

std::vector<int64_t> OneDocument(int64_t tokens, int, std::mt19937_64&) { return {tokens}; }

std::vector<int64_t> OneMoreThanRanks(int64_t tokens, int ranks, std::mt19937_64&) {
  std::vector<int64_t> lengths(std::min<int64_t>(ranks + 1, tokens), 0);
  for (int64_t& length : lengths) length = tokens / lengths.size();
  lengths[0] += tokens % lengths.size();
  return lengths;
}

// `count` lengths of at least 1, lognormal with a standard deviation of their logarithms of 1.3:
// the longest of 100 is about 20 times the median.
SequenceDraw Counted(int64_t count) {
  return [count](int64_t tokens, int, std::mt19937_64& random) {
    std::lognormal_distribution<double> lognormal(0, 1.3);
    std::vector<double> shares(std::min(count, tokens));
    for (double& share : shares) share = lognormal(random);
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    const double spread = static_cast<double>(tokens - static_cast<int64_t>(shares.size()));
    std::vector<int64_t> lengths;
    for (double share : shares) {
      lengths.push_back(1 + static_cast<int64_t>(share / sum * spread));
    }
    // What rounding down has left.
    *std::max_element(lengths.begin(), lengths.end()) +=
        tokens - std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
    return lengths;
  };
}

// 3 to 12 documents of whole 32nds of the sequence: small enough for an exact solver.
std::vector<int64_t> Cells32(int64_t tokens, int, std::mt19937_64& random) {
  constexpr int kCells = 32;
  size_t documents = 3 + random() % 10;
  std::set<int64_t> ends = {kCells};
  while (ends.size() < documents) ends.insert(1 + random() % (kCells - 1));
  std::vector<int64_t> lengths;
  int64_t begin = 0;
  for (int64_t end : ends) {
    lengths.push_back(tokens * end / kCells - tokens * begin / kCells);
    begin = end;
  }
  return lengths;
}

std::vector<Distribution> Generators() {
  return {{"lognormal", 1, Packed(Lognormal())}, {"pile", 2, Packed(PileLike())},
          {"long", 3, Packed(LongDocuments())},  {"one", 4, OneDocument},
          {"equal-512", 5, Packed(Equal512())},  {"n-plus-1", 6, OneMoreThanRanks},
          {"short", 7, Packed(Short())},         {"cells-32", 8, Cells32}};
}

absl::StatusOr<Distribution> FromCount(absl::string_view name, absl::string_view count) {
  int64_t documents = 0;
  if (!absl::SimpleAtoi(count, &documents) || documents < 1 || documents > kMostCounted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "distribution '", name, "': documents:COUNT takes a count from 1 to ", kMostCounted));
  }
  return Distribution{std::string(name), kCountedNumber, Counted(documents)};
}

using FileReader = absl::StatusOr<LengthDraw> (*)(absl::string_view, const std::string&);

absl::StatusOr<Distribution> FromFile(absl::string_view name, const std::string& path,
                                      FileReader read) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxFileBytes));
  ASSIGN_OR_RETURN(LengthDraw draw, read(path, text));
  std::string file = path.substr(path.rfind('/') + 1);
  return Distribution{absl::StrCat(name, ":", file), kFileNumber, Packed(std::move(draw))};
}

}  // namespace

std::vector<int64_t> Distribution::Sequence(int64_t tokens, int ranks, uint64_t index) const {
  std::mt19937_64 random(1000 * number + index);
  return draw(tokens, ranks, random);
}

std::vector<std::string> GeneratorNames() {
  std::vector<std::string> names;
  for (const Distribution& generator : Generators()) names.push_back(generator.name);
  return names;
}

absl::StatusOr<Distribution> MakeDistribution(absl::string_view name) {
  for (Distribution& generator : Generators()) {
    if (name == generator.name) return std::move(generator);
  }
  absl::string_view path = name;
  if (absl::ConsumePrefix(&path, "documents:")) return FromCount(name, path);
  if (absl::ConsumePrefix(&path, "lengths:")) {
    return FromFile("lengths", std::string(path), LengthsFromList);
  }
  if (absl::ConsumePrefix(&path, "histogram:")) {
    return FromFile("histogram", std::string(path), LengthsFromHistogram);
  }
  if (absl::ConsumePrefix(&path, "sources:")) {
    return FromFile("sources", std::string(path), LengthsFromSources);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(UnknownNameMessage("distribution", name, GeneratorNames()),
                   "; or documents:COUNT; or a file: lengths:FILE, histogram:FILE, sources:FILE"));
}

}  // namespace flashcp::benchmarks
