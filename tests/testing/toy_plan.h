// A little planner for tests: turns given ownership into a correct plan by the obvious loops, with
// no code of the compiler.

#ifndef FLASHCP_TESTS_TESTING_TOY_PLAN_H_
#define FLASHCP_TESTS_TESTING_TOY_PLAN_H_

#include <cstdint>
#include <vector>

#include "model/mask.h"
#include "runtime/plan/plan.h"

namespace flashcp::testing {

// Tokens [begin, end) of a document, owned by `rank`.
struct ToySegment {
  uint32_t begin;
  uint32_t end;
  int rank;
};

// Segments partition [0, length), in increasing position.
struct ToyDocument {
  uint32_t length;
  std::vector<ToySegment> segments;
  model::Mask mask = model::Mask::Causal();  // every query sees a key
  // Whoever receives rows of it saves them for backward.
  bool saved = false;
};

struct ToyProblem {
  std::vector<ToyDocument> documents;
  int ranks = 1;
  int query_heads = 4;
  int key_value_heads = 2;
  int dim = 8;
  float scale = 0.6f;  // not 1 / sqrt(dim): whoever takes that instead is found out
  fbs::DType dtype = fbs::DType::f32;
  fbs::Exchange exchange = fbs::Exchange::needed;
  // The messages of a rank are dealt to as many exchanges, each with its own attend.
  int remote_stages = 1;
  // Consecutive ranks share a node of so many. Above 1, a row that goes to several ranks of another
  // node goes to one of them, which forwards it: every stage has an exchange and a forwarding one.
  int ranks_per_node = 1;
  // Programs run once for each of so many groups of heads; divides the K/V heads.
  int head_groups = 1;
  // Round r has its remote rows in place r modulo this one.
  int places = 1;
  // Buffers of all stages share slots: three for K and V, two for their sums, or one if no row is
  // forwarded, and one for what comes back to the exchanges that owners, or relays, send in.
  bool reuse = false;
  // The default admits any ownership.
  double slack_percent = 1e6;
};

// Cuts every document into `chunks` nearly equal segments and deals them to the ranks zigzag
// (0, 1, ..., N-1, N-1, ..., 0), so that ranks own several segments of one document.
std::vector<ToySegment> DealZigzag(uint32_t length, int chunks, int ranks);

// Two ranks; document 0 is cut at 3 and 9, document 1 at 6. Rank 1 owns [3, 9) of document 0 and
// [6, 10) of document 1; it receives [0, 3) of document 0 and [0, 6) of document 1 in one message
// of two slices, rank 0 receives [3, 9) of document 0.
//
// Buffers of both ranks: 0 to 8 the caller's, 9 and 10 remote K and V, 11 the accumulator; 12
// delta, 13 to 15 the sums of Q, K and V, 16 and 17 those of remote K and V, 18 incoming.
// Instructions: 0 attend stage 0, 1 exchange, 2 attend stage 1.
// Backward: 0 clear stage 0, 1 exchange, 2 attend stage 0, 3 and 4 clear and attend stage 1, 5
// pack, 6 exchange gradients, 7 add, 8 store. Tiles of rank 0: [0, 3) x [0, 3); [9, 12) x [0, 3);
// [9, 12) x [9, 12); [0, 6) of document 1; then [9, 12) x [3, 9). Tiles of rank 1: two local ones;
// [3, 9) x [0, 3); [6, 10) x [0, 6).
ToyProblem SmallToyProblem();

// Four ranks on two nodes; rank r owns [2r, 2r + 2) of one document of 8 tokens. Rank 2 receives
// [0, 2) from rank 0 and forwards it to rank 3, which receives [2, 4) from rank 1 and forwards it.
//
// Instructions: 0 attend stage 0, 1 exchange, 2 exchange that forwards, 3 attend stage 1; on ranks
// 2 and 3 each but the first two waits for the one before it. Backward: 0 clear stage 0, 1
// exchange, 2 exchange that forwards, 3 attend stage 0, 4 and 5 clear and attend stage 1; 6 to 8
// pack, exchange and add the gradients of what is forwarded; 9 to 11 of the first exchange; 12
// store.
ToyProblem RelayedToyProblem();

// SmallToyProblem, where rows of document 1 are saved: rank 1 receives [0, 3) of document 0 into
// buffers 9 and 10 and [0, 6) of document 1 into 11 and 12, in one message.
ToyProblem SavedToyProblem();

// A plan that passes VerifyPlan, as plain data that a test may spoil before it seals it.
fbs::PlanT MakeToyPlanT(const ToyProblem& problem);

// Serialises and seals a plan, correct or not.
Plan SealPlanT(const fbs::PlanT& plan);

// Both in one.
Plan MakeToyPlan(const ToyProblem& problem);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TOY_PLAN_H_
