// For comparing results that hold NaN, which equals nothing.

#ifndef FLASHCP_TESTS_TESTING_COMMON_NAN_H_
#define FLASHCP_TESTS_TESTING_COMMON_NAN_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace flashcp::testing {

// Where both are NaN, both become 0: what differs after that is wrong.
template <typename A, typename B>
void ForgetCommonNan(std::vector<A>* a, std::vector<B>* b) {
  for (size_t i = 0; i < std::min(a->size(), b->size()); ++i) {
    if (std::isnan((*a)[i]) && std::isnan((*b)[i])) (*a)[i] = (*b)[i] = 0;
  }
}

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_COMMON_NAN_H_
