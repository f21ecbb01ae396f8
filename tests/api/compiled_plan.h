// Plans for tests of the C interface, small and of every kind of document.

#ifndef FLASHCP_TESTS_API_COMPILED_PLAN_H_
#define FLASHCP_TESTS_API_COMPILED_PLAN_H_

#include <map>
#include <string>
#include <utility>

#include "flashcp.hpp"

namespace flashcp::testing {

// Returns a request of 4 documents, 294 tokens, with these options instead of small ones, and a
// placement in which all ranks wait for each other.
inline api::Request SmallRequest(std::map<std::string, std::string> options = {}) {
  options.insert({{"ranks", "3"},
                  {"heads", "4:2"},
                  {"head-dim", "8"},
                  {"dtype", "f32"},
                  {"strategy", "per-doc"}});
  return {{{60}, {0}, {200, "window:23"}, {34, "full"}}, std::move(options)};
}

inline api::Plan SmallPlan(std::map<std::string, std::string> options = {}) {
  return api::Compile(SmallRequest(std::move(options)));
}

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_API_COMPILED_PLAN_H_
