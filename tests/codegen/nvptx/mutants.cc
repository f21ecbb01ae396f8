// A table of rules, each a pattern of an instruction and what to put in its place.

#include "tests/codegen/nvptx/mutants.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace flashcp {
namespace {

using Match = std::smatch;

// One kind of mutant. `pattern` matches one instruction, without its guard; `replace` returns the
// other one, or the instruction itself if it has no mutant of this kind.
struct Rule {
  const char* kind;
  std::regex pattern;
  std::function<std::string(const Match&)> replace;
};

// Replaces a group of the match, which may be empty but must have taken part; the rest stays.
std::string With(const Match& match, int group, const std::string& text) {
  const std::string whole = match.str();
  const size_t at = match.position(group) - match.position();
  return absl::StrCat(whole.substr(0, at), text, whole.substr(at + match.length(group)));
}

// A rule that changes one group, of which `change` makes another text.
Rule Change(const char* kind, const char* pattern, int group,
            std::function<std::string(const std::string&)> change) {
  return {kind, std::regex(pattern), [group, change](const Match& match) {
            return With(match, group, change(match.str(group)));
          }};
}

Rule Drop(const char* kind, const char* pattern) {
  return {kind, std::regex(pattern), [](const Match&) { return std::string(); }};
}

std::function<std::string(const std::string&)> Plus(int step) {
  return [step](const std::string& number) { return absl::StrCat(std::stoll(number) + step); };
}

std::string OtherComparison(const std::string& comparison) {
  static const std::map<std::string, std::string> kOthers = {
      {"lt", "le"}, {"le", "lt"}, {"gt", "ge"}, {"ge", "gt"}, {"eq", "ne"}, {"ne", "eq"}};
  return kOthers.at(comparison);
}

// Waits, arrivals, commits and fences of every kind.
std::vector<Rule> SynchronisationRules() {
  return {
      Drop("drop a barrier", R"(bar(rier\.cta)?\.(sync|arrive|warp\.sync)[^;]*;)"),
      Drop("drop a fence", R"((fence|membar)\.[^;]*;)"),
      Drop("drop a commit", R"((cp\.async\.(bulk\.)?commit_group|wgmma\.commit_group)[^;]*;)"),
      Drop("drop a wait", R"((cp\.async\.(bulk\.)?wait_(group|all)|wgmma\.wait_group)[^;]*;)"),
      Drop("drop wgmma.fence", R"(wgmma\.fence[^;]*;)"),
      Drop("drop an arrival", R"(mbarrier\.arrive[^;]*;)"),
      {"drop a wait", std::regex(R"(mbarrier\.(try|test)_wait\S*\s+([%\w]+),[^;]*;)"),
       [](const Match& match) { return absl::StrCat("setp.eq.u32 ", match.str(2), ", 0, 0;"); }},
      Change("wait for less", R"((cp\.async|wgmma)\.(bulk\.)?wait_group\S*\s+(\d+);)", 3, Plus(1)),
      Change("another barrier", R"(bar(rier\.cta)?\.(sync|arrive)\S*\s+(\d+)[^;]*;)", 3, Plus(1)),
      Change("another count", R"(mbarrier\.init[^;]*,\s*(\d+);)", 1, Plus(1)),
      Change("other bytes", R"(mbarrier\.(arrive\.)?expect_tx[^;]*,\s*(\d+);)", 2, Plus(16)),
      Change("relax an order", R"((ld|st|red|atom)\.(acquire|release|acq_rel)\.[^;]*;)", 2,
             [](const std::string&) { return "relaxed"; }),
      Change("count otherwise", R"((atom|red)\.\S*add\.[us]\d+[^;]*,\s*(\d+);)", 2, Plus(1)),
  };
}

// Which data meets which.
std::vector<Rule> DataRules() {
  return {
      Change("transpose", R"(ldmatrix\S*\.x\d(\.trans|)[^;]*;)", 1,
             [](const std::string& trans) { return trans.empty() ? ".trans" : ""; }),
      Change("transpose", R"(wgmma\.mma_async[^;]*,\s*([01]);)", 1,
             [](const std::string& bit) { return bit == "0" ? "1" : "0"; }),
      Change("another lane", R"(shfl\.sync\.(bfly|idx|up|down)[^;{]*,\s*(\d+),\s*\d+,[^;]*;)", 2,
             [](const std::string& lane) { return absl::StrCat(std::stoi(lane) ^ 3); }),
      Change("compare otherwise", R"(setp\.(lt|le|gt|ge|eq|ne)(\.and|\.or)?\.\S+[^;]*;)", 1,
             OtherComparison),
      Change("another offset", R"(add\.s(32|64)\s+%\w+,\s*%\w+,\s*(-?\d+);)", 2, Plus(2)),
      Change("another bit", R"((and|or|xor)\.b(32|64)\s+%\w+,\s*%\w+,\s*(\d+);)", 3,
             [](const std::string& mask) { return absl::StrCat(std::stoull(mask) ^ 2); }),
      Change("another shift", R"(sh[lr]\.\w\d+\s+%\w+,\s*%\w+,\s*(\d+);)", 1, Plus(1)),
      Change("another address", R"((ld|st|red)\.(global|shared)\S*\s[^;\[]*\[%\w+(\+\d+|)\][^;]*;)",
             3,
             [](const std::string& offset) {
               return absl::StrCat("+", (offset.empty() ? 0 : std::stoi(offset)) + 16);
             }),
  };
}

// Who takes part.
std::vector<Rule> PredicateRules() {
  return {
      Change("reverse a predicate", R"(@(!?)%?[pP]\w*\s+[^;]*;)", 1,
             [](const std::string& no) { return no.empty() ? "!" : ""; }),
      {"drop a predicate", std::regex(R"(@!?%?[pP]\w*\s+([^;]*;))"),
       [](const Match& match) { return match.str(1); }},
  };
}

// The place of the kernel's body in the text: from its brace to the one that ends it.
std::pair<size_t, size_t> FindBody(absl::string_view ptx, absl::string_view name) {
  const size_t entry = ptx.find(absl::StrCat(".entry ", name, "("));
  if (entry == ptx.npos) return {0, 0};
  const size_t end = ptx.find("\n}", entry);
  return {ptx.find("\n{", entry), end == ptx.npos ? ptx.size() : end};
}

int LineOf(absl::string_view text, size_t offset) {
  return 1 + std::count(text.begin(), text.begin() + offset, '\n');
}

void AddMutants(absl::string_view ptx, std::pair<size_t, size_t> body, const Rule& rule,
                std::vector<Mutant>* mutants) {
  const std::string text(ptx.substr(body.first, body.second - body.first));
  for (std::sregex_iterator match(text.begin(), text.end(), rule.pattern), end; match != end;
       ++match) {
    const std::string after = rule.replace(*match);
    if (after == match->str()) continue;
    const size_t offset = body.first + match->position();
    mutants->push_back({LineOf(ptx, offset), rule.kind, match->str(), after, offset});
  }
}

std::string OpcodeOf(absl::string_view instruction) {
  if (!instruction.empty() && instruction[0] == '@') {
    const size_t guard = instruction.find_first_of(" \t");
    instruction = instruction.substr(instruction.find_first_not_of(" \t", guard));
  }
  return std::string(instruction.substr(0, instruction.find_first_of(" \t;")));
}

}  // namespace

std::vector<Mutant> MutantsOf(absl::string_view ptx, absl::string_view name) {
  const std::pair<size_t, size_t> body = FindBody(ptx, name);
  std::vector<Mutant> mutants;
  if (body.first == body.second) return mutants;
  for (const std::vector<Rule>& rules : {SynchronisationRules(), DataRules(), PredicateRules()}) {
    for (const Rule& rule : rules) AddMutants(ptx, body, rule, &mutants);
  }
  std::stable_sort(mutants.begin(), mutants.end(),
                   [](const Mutant& a, const Mutant& b) { return a.offset < b.offset; });
  return mutants;
}

std::vector<Mutant> Sample(const std::vector<Mutant>& mutants, int between) {
  std::map<std::pair<std::string, std::string>, std::vector<const Mutant*>> families;
  for (const Mutant& mutant : mutants) {
    families[{mutant.kind, OpcodeOf(mutant.before)}].push_back(&mutant);
  }
  std::vector<Mutant> sample;
  for (const auto& [name, family] : families) {
    const size_t last = family.size() - 1, steps = std::min<size_t>(between + 1, last);
    for (size_t i = 0; i <= steps; ++i) sample.push_back(*family[steps ? last * i / steps : 0]);
  }
  return sample;
}

std::string Apply(absl::string_view ptx, const Mutant& mutant) {
  return absl::StrCat(ptx.substr(0, mutant.offset), mutant.after,
                      ptx.substr(mutant.offset + mutant.before.size()));
}

std::string Anonymous(absl::string_view instruction) {
  static const std::regex kNames(R"((%[a-z]+|\$L__BB)\d+(_\d+)?)"), kSpace(R"(\s+)");
  const std::string named = std::regex_replace(std::string(instruction), kNames, "$1");
  return std::regex_replace(named, kSpace, " ");
}

}  // namespace flashcp
