// Decides how published descriptions of training sets become draws of document lengths.

#include "benchmarks/length_files.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

constexpr double kSigma = 1;      // of the logarithm of a length around the mean of its part
constexpr double kLongest = 2e9;  // tokens
constexpr double kMostWeight = 1e18;

absl::Status ErrorAt(absl::string_view name, size_t line, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", message));
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& line : lines) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

bool ParseAmount(const std::string& text, double most, double* value) {
  return absl::SimpleAtod(text, value) && *value >= 0 && *value <= most;
}

struct Bin {
  int64_t low = 0;  // tokens, both ends included
  int64_t high = 0;
};

// One part of a training set.
struct Part {
  double documents = 0;    // in any unit, the same for all parts
  double mean_tokens = 0;  // of a document
};

// Which columns of a table hold the size of a part, and how the two become documents.
struct SourceFormat {
  const char* amount;
  const char* measure;
  Part (*make)(double amount, double measure);
};

constexpr SourceFormat kSourceFormats[] = {
    {"weight_pct", "mean_doc_kib",
     [](double percent, double kib) {
       return Part{percent / kib, kib * kTokensPerKib};
     }},
    {"train_documents", "official_tokens_billion",
     [](double documents, double billions) {
       return Part{documents, documents > 0 ? billions * 1e9 / documents : 0};
     }},
};

size_t ColumnOf(const std::vector<std::string>& heading, absl::string_view column) {
  return std::find(heading.begin(), heading.end(), column) - heading.begin();
}

absl::StatusOr<std::vector<Part>> ReadParts(absl::string_view name,
                                            const std::vector<std::string>& lines,
                                            const SourceFormat& format) {
  std::vector<std::string> heading = absl::StrSplit(lines[0], ',');
  size_t amount_column = ColumnOf(heading, format.amount);
  size_t measure_column = ColumnOf(heading, format.measure);
  std::vector<Part> parts;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> cells = absl::StrSplit(lines[i], ',');
    double amount = 0;
    double measure = 0;
    if (cells.size() != heading.size() || !ParseAmount(cells[amount_column], 1e12, &amount) ||
        !ParseAmount(cells[measure_column], 1e6, &measure) || amount <= 0 || measure <= 0) {
      return ErrorAt(name, i + 1,
                     absl::StrCat("found ", Quoted(lines[i]), ": expected ", heading.size(),
                                  " cells, with numbers above 0 in the columns ", format.amount,
                                  " and ", format.measure));
    }
    parts.push_back(format.make(amount, measure));
  }
  if (parts.empty()) return ErrorAt(name, 1, "no row follows the heading");
  return parts;
}

LengthDraw DrawFromParts(const std::vector<Part>& parts) {
  std::vector<double> weights;
  for (const Part& part : parts) weights.push_back(part.documents);
  return [parts, choose = std::discrete_distribution<size_t>(weights.begin(), weights.end()),
          normal = std::normal_distribution<double>(0, 1)](std::mt19937_64& random) mutable {
    // The mean of a lognormal is exp(mu + sigma^2 / 2).
    double mu = std::log(parts[choose(random)].mean_tokens) - kSigma * kSigma / 2;
    return std::max(1.0, std::exp(mu + kSigma * normal(random)));
  };
}

}  // namespace

absl::StatusOr<LengthDraw> LengthsFromList(absl::string_view name, const std::string& text) {
  nlohmann::json list = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array() || list.empty()) {
    return ErrorAt(name, 1, "expected a JSON list of token counts, with at least one");
  }
  std::vector<double> lengths;
  for (const nlohmann::json& item : list) {
    double length = item.is_number_integer() ? item.get<double>() : 0;
    if (length < 1 || length > kLongest) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": item ", lengths.size(), " is ", Quoted(item.dump()),
                       ": expected a whole number of tokens from 1 to ", kLongest));
    }
    lengths.push_back(length);
  }
  return [lengths = std::move(lengths)](std::mt19937_64& random) {
    return lengths[random() % lengths.size()];
  };
}

absl::StatusOr<LengthDraw> LengthsFromHistogram(absl::string_view name, const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  std::vector<Bin> bins;
  std::vector<double> counts;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> cells =
        absl::StrSplit(lines[i], absl::ByAnyChar("\"[], "), absl::SkipEmpty());
    Bin bin;
    double count = 0;
    if (cells.size() < 3 || !absl::SimpleAtoi(cells[0], &bin.low) ||
        !absl::SimpleAtoi(cells[1], &bin.high) || !ParseAmount(cells[2], kMostWeight, &count) ||
        bin.low < 0 || bin.high < std::max<int64_t>(bin.low, 1) || bin.high > kLongest) {
      return ErrorAt(name, i + 1,
                     absl::StrCat("found ", Quoted(lines[i]),
                                  ": expected \"[low, high]\",count,..., with 0 <= "
                                  "low <= high, 1 <= high and a count of 0 or more"));
    }
    bins.push_back(bin);
    counts.push_back(count);
  }
  if (std::none_of(counts.begin(), counts.end(), [](double count) { return count > 0; })) {
    return ErrorAt(name, lines.size(), "no bin holds a document");
  }
  return [bins, choose = std::discrete_distribution<size_t>(counts.begin(), counts.end())](
             std::mt19937_64& random) mutable {
    const Bin& bin = bins[choose(random)];
    uint64_t width = bin.high - bin.low + 1;
    return std::max(1.0, static_cast<double>(bin.low + static_cast<int64_t>(random() % width)));
  };
}

absl::StatusOr<LengthDraw> LengthsFromSources(absl::string_view name, const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  if (lines.empty()) return ErrorAt(name, 1, "the file is empty: expected a CSV heading");
  std::vector<std::string> heading = absl::StrSplit(lines[0], ',');
  for (const SourceFormat& format : kSourceFormats) {
    if (ColumnOf(heading, format.amount) < heading.size() &&
        ColumnOf(heading, format.measure) < heading.size()) {
      ASSIGN_OR_RETURN(std::vector<Part> parts, ReadParts(name, lines, format));
      return DrawFromParts(parts);
    }
  }
  return ErrorAt(name, 1,
                 absl::StrCat("found the heading ", Quoted(lines[0]),
                              ": expected the columns weight_pct and mean_doc_kib, or "
                              "train_documents and official_tokens_billion"));
}

}  // namespace flashcp::benchmarks
