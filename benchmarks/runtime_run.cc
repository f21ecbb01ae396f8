// Ranks as threads, each timing its own passes between barriers.

#include "benchmarks/runtime_run.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

// Kernels whose launches return at once.
class EmptyKernels : public AttentionKernels {
 public:
  explicit EmptyKernels(std::shared_ptr<AttentionKernels> kernels) : kernels_(std::move(kernels)) {}
  absl::string_view name() const override { return kernels_->name(); }
  absl::StatusOr<std::unique_ptr<DeviceTables>> Upload(LaunchTables) override {
    return std::make_unique<Tables>();
  }

 private:
  struct Tables : DeviceTables {
    absl::Status Enqueue(const Launch&, BufferBases, Stream*) override { return absl::OkStatus(); }
  };

  const std::shared_ptr<AttentionKernels> kernels_;
};

// The CPU, with counted memory and, if asked for, launches that return at once.
class MeasuredDevice : public Device {
 public:
  explicit MeasuredDevice(bool empty) : empty_(empty) {}

  absl::StatusOr<DeviceMemory> Allocate(size_t bytes) override {
    allocated_bytes += bytes;
    return cpu_->Allocate(bytes);
  }
  absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) override {
    ASSIGN_OR_RETURN(std::shared_ptr<AttentionKernels> kernels, cpu_->FindKernels(spec));
    if (empty_) kernels = std::make_shared<EmptyKernels>(std::move(kernels));
    return kernels;
  }
  uint64_t allocated_bytes = 0;

 private:
  const bool empty_;
  const std::unique_ptr<Device> cpu_ = CreateCpuDevice();
};

// Counts messages, and moves them as asked.
class MeasuredTransport : public Transport {
 public:
  MeasuredTransport(Transport* base, Messages messages) : base_(*base), messages_(messages) {}

  int rank() const override { return base_.rank(); }
  int size() const override { return base_.size(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    auto measured = std::make_unique<MeasuredExchange>(this, messages);
    ASSIGN_OR_RETURN(measured->base, base_.Prepare(std::move(messages)));
    return measured;
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    return base_.AllGather(value, timeout);
  }
  void SetComputing(bool computing) override { base_.SetComputing(computing); }
  void Abort(const absl::Status& reason) override { base_.Abort(reason); }

  PassMeasure* counter = nullptr;

 private:
  struct MeasuredExchange : Exchange {
    MeasuredExchange(MeasuredTransport* transport, const std::vector<Message>& messages)
        : transport(*transport) {
      for (const Message& message : messages) {
        const bool sends = message.direction == Message::Direction::kSend;
        (sends ? send_bytes : receive_bytes) += PayloadBytes(message);
      }
    }
    absl::Status Start(BufferBases bases, Stream* stream) override {
      if (transport.counter != nullptr) {
        transport.counter->send_bytes += send_bytes;
        transport.counter->receive_bytes += receive_bytes;
      }
      if (transport.messages_ == Messages::kNone) return absl::OkStatus();
      RETURN_IF_ERROR(base->Start(bases, stream));
      return transport.messages_ == Messages::kAll ? absl::OkStatus()
                                                   : base->Wait(absl::Seconds(60));
    }
    absl::Status Wait(absl::Duration timeout) override {
      return transport.messages_ == Messages::kAll ? base->Wait(timeout) : absl::OkStatus();
    }
    int64_t CompletedNs() const override {
      return transport.messages_ == Messages::kAll ? base->CompletedNs() : 0;
    }

    MeasuredTransport& transport;
    std::unique_ptr<Exchange> base;
    uint64_t send_bytes = 0, receive_bytes = 0;
  };

  Transport& base_;
  const Messages messages_;
};

// The caller's tensors, by buffer kind. Pages that nobody writes take no memory.
struct Tensors {
  using Memory = std::unique_ptr<char, void (*)(void*)>;

  Tensors(const fbs::RankPlan& plan, bool fill) {
    for (const fbs::Buffer& buffer : Items(plan.buffers())) {
      if (buffer.kind() > fbs::BufferKind::value_gradient) continue;
      Add(uint64_t{buffer.rows()} * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype()));
      // 0x3c3c is a small number in bf16, f16 and, twice, f32.
      if (fill && buffer.kind() != fbs::BufferKind::lse) {
        std::fill_n(memory.back().get(), sizes.back(), 0x3c);
      }
    }
    Add(plan.saved_bytes());
  }
  void Add(uint64_t size) {
    sizes.push_back(size);
    memory.emplace_back(static_cast<char*>(std::calloc(size + 64, 1)), &std::free);
    bytes += size;
  }
  MutableBytes at(fbs::BufferKind kind) const { return bytes_at(static_cast<int>(kind)); }
  MutableBytes bytes_at(size_t i) const { return {memory[i].get(), sizes[i]}; }

  std::vector<Memory> memory;
  std::vector<uint64_t> sizes;
  uint64_t bytes = 0;
};

double ThreadCpuUs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

// One pass of one step; ranks begin together.
absl::Status Measure(const RunConfig& config, int step, const std::function<absl::Status()>& run,
                     const std::vector<TraceSpan>& spans, MeasuredTransport* transport,
                     PassMeasure* pass) {
  RETURN_IF_ERROR(transport->AllGather(0, absl::Seconds(60)).status());
  transport->counter = step == 0 ? pass : nullptr;
  const double cpu = ThreadCpuUs();
  const int64_t start = TraceNow();
  RETURN_IF_ERROR(run());
  const double wall_us = (TraceNow() - start) / 1e3;
  const double cpu_us = ThreadCpuUs() - cpu;
  // The time of a step is that of its slowest rank.
  ASSIGN_OR_RETURN(std::vector<uint64_t> all,
                   transport->AllGather(static_cast<uint64_t>(wall_us * 1e3), absl::Seconds(60)));
  if (step == 0) return absl::OkStatus();
  const double slowest_us = *std::max_element(all.begin(), all.end()) / 1e3;
  pass->cpu_us += cpu_us / config.steps;
  pass->instructions = spans.size();
  if (step == 1 || slowest_us < pass->wall_us) pass->wall_us = slowest_us, pass->spans = spans;
  return absl::OkStatus();
}

absl::Status RunRank(const Plan& plan, const RunConfig& config, Transport* base,
                     RankMeasure* measure) {
  using Kind = fbs::BufferKind;
  MeasuredDevice device(config.empty_kernels);
  MeasuredTransport transport(base, config.messages);
  const Tensors t(*plan->ranks()->Get(base->rank()), !config.empty_kernels);
  RankTrace trace;
  ExecutorOptions options;
  options.trace = &trace;
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, base->rank(), &transport, &device, options));
  measure->tensor_bytes = t.bytes;
  measure->allocated_bytes = device.allocated_bytes;
  const MutableBytes saved = t.bytes_at(t.memory.size() - 1);
  const ForwardTensors forward = {t.at(Kind::query),  t.at(Kind::key), t.at(Kind::value),
                                  t.at(Kind::output), t.at(Kind::lse), saved};
  const BackwardTensors backward = {t.at(Kind::query),
                                    t.at(Kind::key),
                                    t.at(Kind::value),
                                    t.at(Kind::output),
                                    t.at(Kind::lse),
                                    saved,
                                    t.at(Kind::output_gradient),
                                    t.at(Kind::query_gradient),
                                    t.at(Kind::key_gradient),
                                    t.at(Kind::value_gradient)};
  for (int step = 0; step <= config.steps; ++step) {
    RETURN_IF_ERROR(Measure(
        config, step, [&] { return executor->Forward(forward); }, trace.forward, &transport,
        &measure->forward));
    RETURN_IF_ERROR(Measure(
        config, step, [&] { return executor->Backward(backward); }, trace.backward, &transport,
        &measure->backward));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<RankMeasure>> MeasureRun(const Plan& plan, const RunConfig& config) {
  std::vector<RankMeasure> measures(plan.num_ranks());
  ThreadsGroup group(plan.num_ranks(), config.model);
  RETURN_IF_ERROR(RunThreadsOf(&group, [&](Transport* transport) {
    return RunRank(plan, config, transport, &measures[transport->rank()]);
  }));
  return measures;
}

}  // namespace flashcp::benchmarks
