// FlashCP for C++17: the interface of flashcp.h with owners, containers and exceptions. Header
// alone, so that it fits whatever compiler and standard library a program is built with. flashcp.h
// says what each call does, takes and returns; here handles end by themselves, and an error is a
// thrown Error.

#ifndef FLASHCP_HPP_
#define FLASHCP_HPP_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "flashcp.h"
#include "flashcp_tables.h"

namespace flashcp::api {

// A call that failed: the code, and the text as what().
class Error : public std::runtime_error {
 public:
  Error(flashcp_status status, const std::string& text)
      : std::runtime_error(text), status_(status) {}
  flashcp_status status() const { return status_; }

 private:
  flashcp_status status_;
};

// Throws the error of a call, if it failed.
inline void Check(flashcp_status status) {
  if (status != FLASHCP_OK) throw Error(status, flashcp_last_error());
}

// Returns the elements of a container as memory for a pass.
template <typename Container>
flashcp_tensor TensorOf(Container& elements) {
  return {std::data(elements), std::size(elements) * sizeof(*std::data(elements))};
}

// Rows of a table of a plan; valid as long as the plan.
template <typename Row>
class Table {
 public:
  Table(const Row* rows, size_t size) : rows_(rows), size_(size) {}
  const Row* begin() const { return rows_; }
  const Row* end() const { return rows_ + size_; }
  size_t size() const { return size_; }
  const Row& operator[](size_t i) const { return rows_[i]; }

 private:
  const Row* rows_;
  size_t size_;
};

// A plan; copies share it.
class Plan {
 public:
  // Takes a handle over.
  explicit Plan(flashcp_plan* plan) : plan_(plan, &flashcp_plan_destroy) {}
  static Plan Load(const std::string& path) {
    flashcp_plan* plan;
    Check(flashcp_plan_load(path.c_str(), &plan));
    return Plan(plan);
  }
  static Plan FromBytes(const std::string& bytes) {
    flashcp_plan* plan;
    Check(flashcp_plan_from_bytes(bytes.data(), bytes.size(), &plan));
    return Plan(plan);
  }

  const flashcp_plan* get() const { return plan_.get(); }
  void Save(const std::string& path) const { Check(flashcp_plan_save(get(), path.c_str())); }
  std::string Bytes() const {
    size_t size;
    const void* const bytes = flashcp_plan_bytes(get(), &size);
    return std::string(static_cast<const char*>(bytes), size);
  }
  flashcp_plan_info Info() const {
    flashcp_plan_info info;
    Check(flashcp_plan_get_info(get(), &info));
    return info;
  }
  flashcp_rank_info RankInfo(int rank) const {
    flashcp_rank_info info;
    Check(flashcp_plan_get_rank_info(get(), rank, &info));
    return info;
  }
  std::string Inspect() const {
    char* json;
    Check(flashcp_plan_inspect(get(), &json));
    const std::unique_ptr<char, void (*)(char*)> owner(json, &flashcp_text_destroy);
    return json;
  }

  // Return a value for each row of the rank.
  std::vector<int64_t> TokenIndices(int rank) const {
    return Values(flashcp_plan_token_indices, rank);
  }
  std::vector<int64_t> PositionIds(int rank) const {
    return Values(flashcp_plan_position_ids, rank);
  }
  std::vector<int64_t> DocumentIds(int rank) const {
    return Values(flashcp_plan_document_ids, rank);
  }

  // Returns the rank's rows of a tensor in global order: [tokens, ...], `row` elements a token.
  template <typename T>
  std::vector<T> Scatter(int rank, size_t row, const std::vector<T>& global) const {
    std::vector<T> local(RankInfo(rank).tokens * row);
    Check(flashcp_plan_scatter(get(), rank, row * sizeof(T), global.data(),
                               global.size() * sizeof(T), local.data(), local.size() * sizeof(T)));
    return local;
  }
  // Copies the rank's rows to their places in a tensor in global order.
  template <typename T>
  void Gather(int rank, size_t row, const std::vector<T>& local, std::vector<T>* global) const {
    Check(flashcp_plan_gather(get(), rank, row * sizeof(T), local.data(), local.size() * sizeof(T),
                              global->data(), global->size() * sizeof(T)));
  }

  // Returns a table of flashcp_plan_table; `Row` is the struct of flashcp_tables.h that it has.
  template <typename Row>
  Table<Row> Rows(int rank, const std::string& name) const {
    const void* rows;
    size_t count, row_bytes;
    Check(flashcp_plan_table(get(), rank, name.c_str(), &rows, &count, &row_bytes));
    if (row_bytes != sizeof(Row)) {
      throw Error(FLASHCP_INVALID_ARGUMENT, "table " + name + " has rows of " +
                                                std::to_string(row_bytes) + " bytes, not " +
                                                std::to_string(sizeof(Row)));
    }
    return Table<Row>(static_cast<const Row*>(rows), count);
  }

 private:
  using WriteValues = flashcp_status (*)(const flashcp_plan*, int, int64_t*, size_t);
  std::vector<int64_t> Values(WriteValues write, int rank) const {
    std::vector<int64_t> values(RankInfo(rank).tokens);
    Check(write(get(), rank, values.data(), values.size()));
    return values;
  }

  std::shared_ptr<flashcp_plan> plan_;
};

struct Document {
  int64_t length;         // tokens
  std::string mask = "";  // "causal", "full", "window:W", "band:L:U"; empty: the option "mask"
};

// What a plan is made from; options by the names of `flashcp compile`, without dashes.
struct Request {
  std::vector<Document> documents;
  std::map<std::string, std::string> options;
  const Plan* layout = nullptr;  // null, or a plan whose placement of tokens is taken over
};

// Calls use(flashcp_request), whose memory ends with the call.
template <typename Use>
void WithRequest(const Request& request, const Use& use) {
  std::vector<flashcp_document> documents;
  for (const Document& document : request.documents) {
    documents.push_back({document.length, document.mask.empty() ? nullptr : document.mask.c_str()});
  }
  std::vector<flashcp_option> options;
  for (const auto& [name, value] : request.options) {
    options.push_back({name.c_str(), value.c_str()});
  }
  use(flashcp_request{documents.data(), documents.size(), options.data(), options.size(),
                      request.layout != nullptr ? request.layout->get() : nullptr});
}

// Makes a plan [compiler].
inline Plan Compile(const Request& request) {
  flashcp_plan* plan = nullptr;
  WithRequest(request, [&](const flashcp_request& c) { Check(flashcp_compile(&c, &plan)); });
  return Plan(plan);
}

// Plans batches ahead [compiler]. Thread-safe.
class Planner {
 public:
  explicit Planner(int threads) : planner_(nullptr, &flashcp_planner_destroy) {
    flashcp_planner* planner;
    Check(flashcp_planner_create(threads, &planner));
    planner_.reset(planner);
  }
  // Returns the ticket of the plan.
  uint64_t Submit(const Request& request) {
    uint64_t ticket;
    WithRequest(request, [&](const flashcp_request& c) {
      Check(flashcp_planner_submit(planner_.get(), &c, &ticket));
    });
    return ticket;
  }
  Plan Take(uint64_t ticket, double timeout_s = -1) {
    flashcp_plan* plan;
    Check(flashcp_planner_take(planner_.get(), ticket, timeout_s, &plan));
    return Plan(plan);
  }

 private:
  std::unique_ptr<flashcp_planner, void (*)(flashcp_planner*)> planner_;
};

struct GroupOptions {
  int compute_threads = 1;            // of each rank
  std::string kernels = "generated";  // as flashcp_group_options says
  double timeout_s = 60;              // negative: none
};

// The ranks that run plans together; copies share them.
class Group {
 public:
  static Group Threads(int ranks, const GroupOptions& options = {}) {
    const flashcp_group_options c = OptionsOf(options);
    flashcp_group* group;
    Check(flashcp_group_threads(ranks, &c, &group));
    return Group(group);
  }
  // `communicator`: a Fortran handle, or null for MPI_COMM_WORLD.
  static Group Mpi(const int* communicator = nullptr, const GroupOptions& options = {}) {
    const flashcp_group_options c = OptionsOf(options);
    flashcp_group* group;
    Check(flashcp_group_mpi(communicator, &c, &group));
    return Group(group);
  }

  flashcp_group* get() const { return group_.get(); }
  int size() const { return flashcp_group_size(get()); }
  int rank() const { return flashcp_group_rank(get()); }
  // Returns the rows of all ranks, each with the bytes of rank_bytes; collective like a pass.
  template <typename T>
  std::vector<T> AllGather(int rank, const std::vector<T>& local,
                           const std::vector<uint64_t>& rank_bytes) const {
    if (static_cast<int>(rank_bytes.size()) != size()) {
      throw Error(FLASHCP_INVALID_ARGUMENT, "rank_bytes has " + std::to_string(rank_bytes.size()) +
                                                " values, the group " + std::to_string(size()) +
                                                " ranks");
    }
    uint64_t bytes = 0;
    for (uint64_t of_rank : rank_bytes) bytes += of_rank;
    std::vector<T> all(bytes / sizeof(T));
    Check(flashcp_group_all_gather(get(), rank, local.data(), rank_bytes.data(), all.data()));
    return all;
  }
  void Abort(int rank, const std::string& reason) const {
    Check(flashcp_group_abort(get(), rank, reason.c_str()));
  }

 private:
  explicit Group(flashcp_group* group) : group_(group, &flashcp_group_destroy) {}
  static flashcp_group_options OptionsOf(const GroupOptions& options) {
    return {sizeof(flashcp_group_options), options.compute_threads, options.kernels.c_str(),
            options.timeout_s};
  }

  std::shared_ptr<flashcp_group> group_;
};

// Runs one rank of a plan; made and used by the thread of the rank.
class Executor {
 public:
  Executor(const Plan& plan, const Group& group, int rank, bool backward = true)
      : executor_(nullptr, &flashcp_executor_destroy) {
    flashcp_executor* executor;
    Check(flashcp_executor_create(plan.get(), group.get(), rank, backward, &executor));
    executor_.reset(executor);
  }
  void Forward(const flashcp_tensors& tensors, void* stream = nullptr) {
    Check(flashcp_forward(executor_.get(), &tensors, stream));
  }
  void Backward(const flashcp_tensors& tensors, void* stream = nullptr) {
    Check(flashcp_backward(executor_.get(), &tensors, stream));
  }
  void Synchronize(double timeout_s = -1) {
    Check(flashcp_synchronize(executor_.get(), timeout_s));
  }

 private:
  std::unique_ptr<flashcp_executor, void (*)(flashcp_executor*)> executor_;
};

}  // namespace flashcp::api

#endif  // FLASHCP_HPP_
