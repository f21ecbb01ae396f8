// Compiling and planning ahead through the C interface.

#include "compiler/compile.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "compiler/input/batch_options.h"
#include "flashcp.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/api/compiled_plan.h"

namespace flashcp {
namespace {

using api::Plan;
using api::Planner;
using api::Request;
using ::testing::HasSubstr;
using testing::SmallRequest;

// A batch of its own for each number.
Request NumberedRequest(int number) {
  Request request = SmallRequest();
  request.documents.push_back({10 + number});
  return request;
}

TEST(CompileTest, IsThePlanOfTheCommandLine) {
  BatchTexts texts = PresetBatchTexts();
  for (const auto& [name, value] : SmallRequest().options) texts[name] = value;
  CompileRequest request = ReadBatchOptions("--", texts)->request;
  request.problem.documents = {{60, model::Mask::Causal()},
                               {0, model::Mask::Causal()},
                               {200, model::Mask::Window(23)},
                               {34, model::Mask::Full()}};
  Compiler compiler;
  EXPECT_EQ(api::Compile(SmallRequest()).Bytes(), std::string(compiler.Compile(request)->bytes()));
}

TEST(CompileTest, ThreadsCompileSideBySide) {
  const std::string expected = api::Compile(SmallRequest()).Bytes();
  std::vector<std::string> bytes(4);
  std::vector<std::thread> threads;
  for (std::string& found : bytes) {
    threads.emplace_back([&] { found = api::Compile(SmallRequest()).Bytes(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(bytes, ::testing::Each(expected));
}

// Layers of several masks run on the same rows.
TEST(CompileTest, AFurtherMaskTakesALayoutOver) {
  const Plan first = api::Compile(SmallRequest({{"strategy", "zigzag"}}));
  Request request = {{{60, "full"}, {0}, {200}, {34}},
                     {{"heads", "4:2"}, {"head-dim", "8"}, {"dtype", "f32"}},
                     &first};
  const Plan second = api::Compile(request);
  EXPECT_NE(second.Info().hash, first.Info().hash);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(second.TokenIndices(rank), first.TokenIndices(rank));
  }
  request.documents.clear();
  EXPECT_EQ(api::Compile(request).TokenIndices(1), first.TokenIndices(1));
  Planner planner(1);
  EXPECT_EQ(planner.Take(planner.Submit(request)).Bytes(), api::Compile(request).Bytes());
}

// The code and the text of a request that is refused.
void ExpectRefused(const Request& request, const std::string& text,
                   flashcp_status status = FLASHCP_INVALID_ARGUMENT) {
  try {
    api::Compile(request);
    ADD_FAILURE() << "compiled; expected " << text;
  } catch (const api::Error& error) {
    EXPECT_EQ(error.status(), status);
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(CompileErrorTest, OptionsAreNamed) {
  ExpectRefused(SmallRequest({{"head-dim", "9"}}), "head-dim: expected");
  ExpectRefused(SmallRequest({{"heads", "4:3"}}), "heads: query heads must be a multiple");
  ExpectRefused(SmallRequest({{"cluster", "h100x9"}}), "cluster: ", FLASHCP_NOT_FOUND);
  ExpectRefused(SmallRequest({{"rank", "3"}}), "unknown option 'rank': did you mean 'ranks'?");
}

TEST(CompileErrorTest, DocumentsAreNamed) {
  Request request = SmallRequest();
  request.documents[1].length = -1;
  ExpectRefused(request, "document 1: length is -1");
  request = SmallRequest();
  request.documents[3].mask = "windw:4";
  ExpectRefused(request, "document 3: unknown mask 'windw:4'");
}

TEST(CompileErrorTest, ALayoutOfOtherDocuments) {
  const Plan first = api::Compile(SmallRequest());
  Request request = SmallRequest();
  request.options.erase("strategy");
  request.layout = &first;
  request.documents[2].length = 199;
  ExpectRefused(request, "document 2");
}

TEST(CompileErrorTest, ALimitThatNoPlanKeeps) {
  ExpectRefused(SmallRequest({{"workspace-limit", "0.001"}}), "workspace");
}

TEST(CompileErrorTest, PointersThatAreNull) {
  flashcp_plan* plan = reinterpret_cast<flashcp_plan*>(1);
  const auto expect_refused = [&](const flashcp_request& request, const std::string& text) {
    EXPECT_EQ(flashcp_compile(&request, &plan), FLASHCP_INVALID_ARGUMENT);
    EXPECT_THAT(flashcp_last_error(), HasSubstr(text));
    EXPECT_EQ(plan, nullptr);
  };
  const flashcp_document document = {16, nullptr};
  flashcp_option options[] = {{"ranks", "2"}, {"ranks", "3"}};
  expect_refused({nullptr, 1, options, 1, nullptr}, "documents are null, 1 expected");
  expect_refused({&document, 1, nullptr, 2, nullptr}, "options are null, 2 expected");
  expect_refused({&document, 1, options, 2, nullptr}, "option ranks is given twice");
  options[1] = {"dtype", nullptr};
  expect_refused({&document, 1, options, 2, nullptr}, "option 1: its value is null");
  options[1] = {nullptr, "f32"};
  expect_refused({&document, 1, options, 2, nullptr}, "option 1: its name is null");
  EXPECT_EQ(flashcp_compile(nullptr, &plan), FLASHCP_INVALID_ARGUMENT);
  EXPECT_STREQ(flashcp_last_error(), "flashcp_compile: request is null");
}

TEST(CompileTest, ABatchMayBeEmpty) {
  flashcp_plan* plan;
  const flashcp_option ranks = {"ranks", "2"};
  const flashcp_request request = {nullptr, 0, &ranks, 1, nullptr};
  ASSERT_EQ(flashcp_compile(&request, &plan), FLASHCP_OK) << flashcp_last_error();
  EXPECT_EQ(Plan(plan).Info().tokens, 0);
}

TEST(PlannerTest, GivesThePlansOfCompile) {
  constexpr int kPlans = 24;
  std::vector<std::string> found(kPlans);
  Planner planner(3);
  std::vector<std::thread> threads;  // each a loader of batches of its own
  for (int loader = 0; loader < 4; ++loader) {
    threads.emplace_back([&, loader] {
      std::vector<uint64_t> tickets;
      for (int i = loader; i < kPlans; i += 4)
        tickets.push_back(planner.Submit(NumberedRequest(i)));
      for (int i = loader; i < kPlans; i += 4) found[i] = planner.Take(tickets[i / 4]).Bytes();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kPlans; ++i) {
    EXPECT_EQ(found[i], api::Compile(NumberedRequest(i)).Bytes()) << i;
  }
}

// The code and the text of a call that fails.
void ExpectError(flashcp_status found, flashcp_status expected, const std::string& text) {
  EXPECT_EQ(found, expected);
  EXPECT_THAT(flashcp_last_error(), HasSubstr(text));
}

TEST(PlannerTest, RequestsAreCopied) {
  flashcp_planner* planner;
  api::Check(flashcp_planner_create(1, &planner));
  uint64_t ticket;
  {
    std::string mask = "window:23";
    std::vector<flashcp_document> documents = {{60, nullptr}, {200, mask.c_str()}};
    const flashcp_request request = {documents.data(), documents.size(), nullptr, 0, nullptr};
    api::Check(flashcp_planner_submit(planner, &request, &ticket));
    mask = "gone";
    documents.assign(2, {});
  }
  flashcp_plan* plan;
  api::Check(flashcp_planner_take(planner, ticket, -1, &plan));
  EXPECT_EQ(Plan(plan).Info().tokens, 260);
  flashcp_planner_destroy(planner);
}

TEST(PlannerTest, ATicketIsTakenOnce) {
  flashcp_planner* planner;
  api::Check(flashcp_planner_create(1, &planner));
  uint64_t ticket;
  api::WithRequest(SmallRequest(), [&](const flashcp_request& request) {
    api::Check(flashcp_planner_submit(planner, &request, &ticket));
  });
  flashcp_plan* plan;
  api::Check(flashcp_planner_take(planner, ticket, -1, &plan));
  flashcp_plan_destroy(plan);
  ExpectError(flashcp_planner_take(planner, ticket, -1, &plan), FLASHCP_NOT_FOUND,
              "no such ticket, or it was taken");
  ExpectError(flashcp_planner_take(planner, 77, -1, &plan), FLASHCP_NOT_FOUND, "ticket 77");
  flashcp_planner_destroy(planner);
}

TEST(PlannerTest, ErrorsAreThoseOfCompiling) {
  Planner planner(1);
  try {
    planner.Submit(SmallRequest({{"dtype", "f8"}}));
    ADD_FAILURE();
  } catch (const api::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("dtype"));
  }
  const uint64_t ticket = planner.Submit(SmallRequest({{"workspace-limit", "0.001"}}));
  try {
    planner.Take(ticket);
    ADD_FAILURE();
  } catch (const api::Error& error) {
    EXPECT_EQ(error.status(), FLASHCP_INVALID_ARGUMENT);
    EXPECT_THAT(error.what(), HasSubstr("workspace"));
  }
}

// A request that takes long enough for others to be queued behind it.
Request SlowRequest() {
  Request request = SmallRequest({{"strategy", "auto"}, {"time-budget", "300"}, {"ranks", "8"}});
  for (int i = 0; i < 100; ++i) request.documents.push_back({500 + 97 * i % 1000});
  return request;
}

TEST(PlannerTest, ATimeoutLeavesTheTicket) {
  Planner planner(1);
  planner.Submit(SlowRequest());
  const uint64_t ticket = planner.Submit(SmallRequest());
  try {
    planner.Take(ticket, 0.01);
    ADD_FAILURE();
  } catch (const api::Error& error) {
    EXPECT_EQ(error.status(), FLASHCP_DEADLINE_EXCEEDED);
    EXPECT_THAT(error.what(), HasSubstr("ticket 2: the plan is not ready after 0.01 s"));
  }
  EXPECT_EQ(planner.Take(ticket).Info().tokens, 294);
}

TEST(PlannerTest, DestroyedWhileBusyItCancels) {
  flashcp_planner* planner;
  api::Check(flashcp_planner_create(1, &planner));
  std::vector<uint64_t> tickets(6);
  for (uint64_t& ticket : tickets) {
    api::WithRequest(SlowRequest(), [&](const flashcp_request& request) {
      api::Check(flashcp_planner_submit(planner, &request, &ticket));
    });
  }
  std::atomic<int> waiting{0};
  std::vector<flashcp_status> statuses(tickets.size());
  std::vector<std::thread> takers;
  for (size_t i = 1; i < tickets.size(); ++i) {
    takers.emplace_back([&, i] {
      flashcp_plan* plan;
      ++waiting;
      statuses[i] = flashcp_planner_take(planner, tickets[i], -1, &plan);
      EXPECT_EQ(plan, nullptr);
    });
  }
  while (waiting < 5) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // until they wait inside
  flashcp_planner_destroy(planner);
  for (std::thread& taker : takers) taker.join();
  for (size_t i = 1; i < tickets.size(); ++i) EXPECT_EQ(statuses[i], FLASHCP_CANCELLED) << i;
}

TEST(PlannerErrorTest, ThreadsOutOfRangeAndNull) {
  flashcp_planner* planner;
  for (int threads : {-1, 0, 257}) {
    ExpectError(flashcp_planner_create(threads, &planner), FLASHCP_INVALID_ARGUMENT,
                "threads are " + std::to_string(threads) + ": must be from 1 to 256");
  }
  ExpectError(flashcp_planner_create(1, nullptr), FLASHCP_INVALID_ARGUMENT, "planner is null");
  api::Check(flashcp_planner_create(1, &planner));
  uint64_t ticket;
  flashcp_plan* plan;
  ExpectError(flashcp_planner_submit(planner, nullptr, &ticket), FLASHCP_INVALID_ARGUMENT,
              "request is null");
  ExpectError(flashcp_planner_take(planner, 1, 0, nullptr), FLASHCP_INVALID_ARGUMENT,
              "plan is null");
  ExpectError(flashcp_planner_take(nullptr, 1, 0, &plan), FLASHCP_INVALID_ARGUMENT,
              "planner is null");
  flashcp_planner_destroy(planner);
  flashcp_planner_destroy(nullptr);
}

// Workers of a data loader are made by fork(), while the parent plans on threads.
TEST(ForkTest, AChildCompilesAndRefusesThePlanner) {
  const std::string expected = api::Compile(SmallRequest()).Bytes();
  flashcp_planner* planner;
  api::Check(flashcp_planner_create(2, &planner));
  uint64_t ticket = 0;
  for (int i = 0; i < 3; ++i) {
    api::WithRequest(SlowRequest(), [&](const flashcp_request& request) {
      api::Check(flashcp_planner_submit(planner, &request, &ticket));
    });
  }
  const pid_t child = fork();
  if (child == 0) {
    flashcp_plan* plan;
    const bool refused =
        flashcp_planner_take(planner, ticket, -1, &plan) == FLASHCP_FAILED_PRECONDITION;
    flashcp_planner_destroy(planner);  // returns, without threads to join
    const bool compiled = api::Compile(SmallRequest()).Bytes() == expected;
    _exit(refused && compiled ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  flashcp_planner_destroy(planner);
}

}  // namespace
}  // namespace flashcp
