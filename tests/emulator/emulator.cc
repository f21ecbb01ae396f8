// Modules, and the checks of a launch before the engine runs it.

#include "tests/emulator/emulator.h"

#include <cstring>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "support/status_macros.h"
#include "tests/emulator/compile.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/kernel.h"
#include "tests/emulator/ptx_parser.h"
#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

struct Compiled {
  Kernel kernel;
  std::unique_ptr<HostCode> code;
};

// Memory of variables is aligned to this, and no more than a variable asks for cannot be seen.
constexpr size_t kVariableAlignment = 256;

}  // namespace

struct Module::State {
  ptx::Module parsed;
  std::map<std::string, uint64_t> addresses;
  std::vector<Allocation> allocations;
  std::vector<std::unique_ptr<std::byte[]>> memory;
  absl::Mutex mutex;
  std::map<std::string, std::unique_ptr<Compiled>> compiled ABSL_GUARDED_BY(mutex);

  void PlaceVariables();
  const ptx::Kernel* FindCode(absl::string_view name) const;
};

void Module::State::PlaceVariables() {
  for (const ptx::Variable& variable : parsed.variables) {
    if (variable.space == ptx::Space::kShared) continue;
    memory.push_back(std::make_unique<std::byte[]>(variable.bytes + kVariableAlignment));
    uintptr_t begin = reinterpret_cast<uintptr_t>(memory.back().get());
    begin = (begin + kVariableAlignment - 1) / kVariableAlignment * kVariableAlignment;
    if (!variable.contents.empty()) {
      std::memcpy(reinterpret_cast<void*>(begin), variable.contents.data(), variable.bytes);
    }
    addresses[variable.name] = begin;
    allocations.push_back({variable.name, begin, begin + variable.bytes});
  }
}

const ptx::Kernel* Module::State::FindCode(absl::string_view name) const {
  for (const ptx::Kernel& kernel : parsed.kernels) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

Module::Module(std::unique_ptr<State> state) : state_(std::move(state)) {}
Module::~Module() = default;

absl::StatusOr<std::unique_ptr<Module>> Module::Load(absl::string_view ptx) {
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->parsed, ptx::Parse(ptx));
  state->PlaceVariables();
  return std::unique_ptr<Module>(new Module(std::move(state)));
}

std::vector<std::string> Module::kernel_names() const {
  std::vector<std::string> names;
  for (const ptx::Kernel& kernel : state_->parsed.kernels) names.push_back(kernel.name);
  return names;
}

absl::StatusOr<const Kernel*> Module::FindKernel(absl::string_view name) {
  absl::MutexLock lock(&state_->mutex);
  std::unique_ptr<Compiled>& compiled = state_->compiled[std::string(name)];
  if (compiled != nullptr) return &compiled->kernel;
  const ptx::Kernel* const code = state_->FindCode(name);
  if (code == nullptr) {
    return absl::NotFoundError(absl::StrCat("no kernel \"", name, "\": the module has ",
                                            absl::StrJoin(kernel_names(), ", ")));
  }
  auto made = std::make_unique<Compiled>();
  made->kernel.code = *code;
  made->kernel.variables = state_->allocations;
  ASSIGN_OR_RETURN(made->code,
                   HostCode::Compile(state_->parsed.variables, state_->addresses, &made->kernel));
  compiled = std::move(made);
  return &compiled->kernel;
}

absl::StatusOr<absl::Span<std::byte>> Module::FindVariable(absl::string_view name) {
  for (const Allocation& allocation : state_->allocations) {
    if (allocation.name != name) continue;
    return absl::MakeSpan(reinterpret_cast<std::byte*>(allocation.begin),
                          allocation.end - allocation.begin);
  }
  return absl::NotFoundError(absl::StrCat("no variable \"", name, "\" of .global or .const"));
}

const std::string& NameOf(const Kernel& kernel) { return kernel.code.name; }

std::vector<size_t> ParameterBytesOf(const Kernel& kernel) {
  std::vector<size_t> bytes;
  for (const ptx::Parameter& parameter : kernel.code.parameters) bytes.push_back(parameter.bytes);
  return bytes;
}

std::array<int, 3> RequiredThreadsOf(const Kernel& kernel) { return kernel.code.required_threads; }

size_t StaticSharedBytesOf(const Kernel& kernel) { return kernel.static_shared_bytes; }

size_t Kernel::parameter_bytes() const {
  return code.parameters.empty() ? 0 : code.parameters.back().offset + code.parameters.back().bytes;
}

namespace {

constexpr int kMostThreads = 1024;

std::string Shape(const std::array<int, 3>& dimensions) { return absl::StrJoin(dimensions, " x "); }

absl::Status CheckBlock(const Kernel& kernel, const std::array<int, 3>& block) {
  const ptx::Kernel& code = kernel.code;
  const auto error = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernel ", code.name, ": block of ", Shape(block), " threads: ", what));
  };
  const int64_t threads = int64_t{block[0]} * block[1] * block[2];
  if (block[0] < 1 || block[1] < 1 || block[2] < 1 || threads > kMostThreads) {
    return error("expected 1 to 1024");
  }
  if (code.required_threads[0] != 0 && code.required_threads != block) {
    return error(absl::StrCat(".reqntid asks for ", Shape(code.required_threads)));
  }
  const std::array<int, 3>& most = code.most_threads;
  if (most[0] != 0 && threads > int64_t{most[0]} * most[1] * most[2]) {
    return error(absl::StrCat(".maxntid allows ", Shape(most)));
  }
  return absl::OkStatus();
}

absl::Status CheckLaunch(const Kernel& kernel, size_t num_arguments, const LaunchOptions& options) {
  RETURN_IF_ERROR(CheckBlock(kernel, options.block));
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("kernel ", kernel.code.name, ": ", what));
  };
  if (num_arguments != kernel.code.parameters.size()) {
    return error(
        absl::StrCat(num_arguments, " arguments, expected ", kernel.code.parameters.size()));
  }
  const auto& grid = options.grid;
  if (grid[0] < 1 || grid[1] < 1 || grid[2] < 1) {
    return error(absl::StrCat("empty grid of ", Shape(grid), " CTAs"));
  }
  const int64_t ctas = int64_t{grid[0]} * grid[1] * grid[2];
  if (options.races && ctas > RaceTracker::kMostCtas) {
    return error(
        absl::StrCat(ctas, " CTAs, races are looked for in at most ", RaceTracker::kMostCtas));
  }
  const int resident = options.schedule.resident_ctas;
  if (resident > SharedWindows::kMostWindows) {
    return error(absl::StrCat(resident, " resident CTAs, at most ", SharedWindows::kMostWindows,
                              " are possible"));
  }
  const size_t shared = kernel.dynamic_shared_offset + options.dynamic_shared_bytes;
  if (shared > SharedWindows::kMostBytes) {
    return error(absl::StrCat(shared, " bytes of shared memory with the system's 1024, at most ",
                              SharedWindows::kMostBytes, " are possible"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Launch(const Kernel& kernel, absl::Span<const void* const> arguments,
                    const GlobalMemory& memory, const LaunchOptions& options) {
  RETURN_IF_ERROR(CheckLaunch(kernel, arguments.size(), options));
  std::vector<std::byte> parameters(kernel.parameter_bytes());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const ptx::Parameter& parameter = kernel.code.parameters[i];
    std::memcpy(parameters.data() + parameter.offset, arguments[i], parameter.bytes);
  }
  return Engine(kernel, std::move(parameters), memory, options).Run();
}

}  // namespace flashcp::emulator
