// The kernels that move memory, as the build ships them, run by the emulator on tables that the
// runtime makes.

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cuda/launch_items.h"
#include "runtime/numeric.h"
#include "tests/emulator/emulator.h"

namespace flashcp::gpu {
namespace {

constexpr int kThreads = 256, kSharedBytes = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Memory whose first byte is `shift` bytes after a multiple of 64.
class Bytes {
 public:
  explicit Bytes(size_t size, int shift = 0) : memory_(size + 128), size_(size) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    first_ = memory_.data() + (64 - address % 64) % 64 + shift;
  }
  Bytes(const Bytes&) = delete;

  char* data() { return first_; }
  size_t size() const { return size_; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(first_);
  }

 private:
  std::vector<char> memory_;
  size_t size_;
  char* first_;
};

class MemoryKernelsTest : public testing::TestWithParam<std::tuple<const char*, model::DType>> {
 protected:
  void SetUp() override {
    std::ifstream file(absl::StrCat("runtime/cuda/", std::get<0>(GetParam()), "_memory.ptx"));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto module = emulator::Module::Load(text);
    ASSERT_TRUE(module.ok()) << module.status();
    module_ = std::move(*module);
  }

  model::DType element() const { return std::get<1>(GetParam()); }
  std::string Symbol(absl::string_view kind) const {
    return absl::StrCat("flashcp_", kind, element() == model::DType::kBF16 ? "_bf16" : "_f16");
  }

  // Gives buffers, in the order of the calls, to the next launch.
  void Bind(absl::string_view name, Bytes& bytes, uint64_t row_bytes = 0) {
    buffers_.push_back({std::string(name), &bytes});
    bindings_.push_back({reinterpret_cast<uint64_t>(bytes.data()), row_bytes});
  }

  template <typename Item>
  void Launch(const std::string& symbol, std::vector<Item> items, std::vector<Move> moves = {}) {
    auto kernel = module_->FindKernel(symbol);
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    emulator::GlobalMemory memory;
    for (const auto& [name, bytes] : buffers_) memory.Register(name, bytes->data(), bytes->size());
    std::vector<Binding> bindings = std::move(bindings_);
    buffers_.clear();
    bindings_.clear();
    LaunchArguments arguments = {};
    auto table = [&](absl::string_view name, auto& entries) {
      memory.Register(name, entries);
      return reinterpret_cast<uint64_t>(entries.data());
    };
    std::vector<uint32_t> next_item(2);
    arguments.bindings = table("bindings", bindings);
    arguments.tiles = moves.empty() ? 0 : table("moves", moves);
    arguments.items = table("items", items);
    arguments.next_item = table("next item", next_item);
    arguments.item_count = items.size();
    arguments.heads = spec_.query_heads;
    arguments.value_dim = spec_.value_dim;
    emulator::LaunchOptions options;
    options.grid = {3, 1, 1};
    options.block = {kThreads, 1, 1};
    options.dynamic_shared_bytes = kSharedBytes;
    options.schedule.resident_ctas = 3;
    options.races = true;
    const absl::Status status = emulator::Launch(**kernel, {&arguments}, memory, options);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_THAT(next_item, testing::Each(0u));
  }

  float Normal() { return normal_(random_); }
  void FillElements(Bytes& bytes) {
    for (size_t i = 0; i < bytes.size() / 2; ++i) Set(bytes, i, Normal());
  }
  void FillFloats(Bytes& bytes) {
    for (size_t i = 0; i < bytes.size() / 4; ++i) bytes.as<float>()[i] = Normal();
  }

  // Read and write one element.
  float Get(Bytes& bytes, size_t i) const {
    const uint16_t bits = bytes.as<uint16_t>()[i];
    return element() == model::DType::kBF16 ? ToFloat(BFloat16{bits}) : ToFloat(Float16{bits});
  }
  void Set(Bytes& bytes, size_t i, float value) const { bytes.as<uint16_t>()[i] = Rounded(value); }
  uint16_t Rounded(float value) const {
    BFloat16 bf16;
    Float16 f16;
    FromFloat(value, &bf16);
    FromFloat(value, &f16);
    return element() == model::DType::kBF16 ? bf16.bits : f16.bits;
  }

  KernelSpec spec_ = {model::DType::kBF16, 3, 3, 64, 72, 1.0f};
  std::mt19937 random_{7};
  std::normal_distribution<float> normal_;
  std::unique_ptr<emulator::Module> module_;
  std::vector<std::pair<std::string, Bytes*>> buffers_;
  std::vector<Binding> bindings_;
};

TEST_P(MemoryKernelsTest, Clear) {
  for (int shift : {0, 4, 12}) {
    Bytes bytes(4 * 5003, shift);
    FillFloats(bytes);
    Bind("floats", bytes);
    const float kept = bytes.as<float>()[5002];
    Launch("flashcp_clear", BuildClears({{0, 5002}}));
    for (int i = 0; i < 5002; ++i) ASSERT_EQ(bytes.as<float>()[i], 0) << i;
    EXPECT_EQ(bytes.as<float>()[5002], kept);
  }
}

TEST_P(MemoryKernelsTest, CopyOfAnyAlignment) {
  for (int shift : {0, 2, 16}) {
    Bytes source(20000, shift), target(20000);
    for (size_t i = 0; i < source.size(); ++i) source.data()[i] = static_cast<char>(random_());
    Bind("source", source);
    Bind("target", target);
    const std::vector<MoveEntry> entries = {{{0, 16}, {1, 32}, 160, 7, 192, 160},
                                            {{0, 2000}, {1, 2000}, 33, 3, 64, 48},
                                            {{0, 4096}, {1, 4096}, 9001, 1}};
    std::string expected(target.data(), target.size());
    for (const MoveEntry& entry : entries) {
      for (uint64_t row = 0; row < entry.rows; ++row) {
        std::memcpy(&expected[entry.target.offset + row * entry.target_stride],
                    source.data() + entry.source.offset + row * entry.source_stride, entry.count);
      }
    }
    const MoveWork work = BuildMoves(flashcp::Launch::Kind::kCopy, entries, {});
    Launch("flashcp_copy", work.items, work.moves);
    EXPECT_TRUE(expected == std::string(target.data(), target.size())) << shift;
  }
}

TEST_P(MemoryKernelsTest, RoundKeepsInfinityAndNaN) {
  for (int shift : {0, 4}) {
    Bytes source(4 * 600, shift), target(2 * 600);
    FillFloats(source);
    float* floats = source.as<float>();
    const float special[] = {kInfinity, -kInfinity, std::nanf(""), 1e-40f,
                             -0.0f,     1e-6f,      70000.0f,      3.3e38f};
    std::copy(std::begin(special), std::end(special), floats);
    std::copy(std::begin(special), std::end(special), floats + 590);
    Bind("source", source);
    Bind("target", target);
    const MoveWork work =
        BuildMoves(flashcp::Launch::Kind::kRound,
                   {{{0, 0}, {1, 0}, 80, 7, 320, 160}, {{0, 2240}, {1, 1120}, 40}}, {});
    Launch(Symbol("round"), work.items, work.moves);
    for (int i = 0; i < 600; ++i) {
      if (std::isnan(floats[i])) {
        EXPECT_TRUE(std::isnan(Get(target, i))) << i;
      } else {
        EXPECT_EQ(target.as<uint16_t>()[i], Rounded(floats[i])) << i << ": " << floats[i];
      }
    }
  }
}

TEST_P(MemoryKernelsTest, AddsToTheSameRowsInOrder) {
  for (int shift : {0, 2}) {
    Bytes source(2 * 4000, shift), sums(4 * 64 * 20);
    FillElements(source);
    FillFloats(sums);
    sums.as<float>()[70] = kInfinity;
    std::vector<float> expected(sums.as<float>(), sums.as<float>() + 64 * 20);
    Bind("source", source);
    Bind("sums", sums, 4 * 64);
    std::vector<MoveEntry> entries;
    for (uint64_t i = 0; i < 4; ++i) {
      entries.push_back({{0, i * 1600}, {1, i * 3 * 256 + i * 32}, 32 - 8 * (i % 2), 9, 64, 256});
      entries.push_back({{0, i * 1600 + 800}, {1, i * 256}, 13, 9, 26, 256});
    }
    for (const MoveEntry& entry : entries) {
      for (uint64_t row = 0; row < entry.rows; ++row) {
        for (uint64_t i = 0; i < entry.count; ++i) {
          expected[(entry.target.offset + row * entry.target_stride) / 4 + i] +=
              Get(source, (entry.source.offset + row * entry.source_stride) / 2 + i);
        }
      }
    }
    const uint64_t row_bytes[] = {0, 4 * 64};
    const MoveWork work = BuildMoves(flashcp::Launch::Kind::kAdd, entries, row_bytes);
    Launch(Symbol("add"), work.items, work.moves);
    EXPECT_EQ(std::memcmp(sums.data(), expected.data(), 4 * expected.size()), 0) << shift;
  }
}

TEST_P(MemoryKernelsTest, ProductsHaveTheSameBitsForAnyAlignment) {
  const int rows = 5, heads = spec_.query_heads, dim = spec_.value_dim;
  std::vector<float> first;
  for (int shift : {0, 2}) {
    random_.seed(3);
    normal_.reset();
    Bytes output(2 * rows * heads * dim, shift), gradient(2 * rows * heads * dim),
        sums(4 * rows * heads);
    FillElements(output);
    FillElements(gradient);
    Bind("output", output, 2 * heads * dim);
    Bind("gradient", gradient, 2 * heads * dim);
    Bind("sums", sums, 4 * heads);
    Launch(Symbol("product"), BuildProducts(spec_, {{0, 1, 2, rows}}));
    for (int i = 0; i < rows * heads; ++i) {
      double expected = 0;
      for (int d = 0; d < dim; ++d) {
        expected += double{Get(output, i * dim + d)} * Get(gradient, i * dim + d);
      }
      EXPECT_NEAR(sums.as<float>()[i], expected, 2e-5) << i;
    }
    std::vector<float> found(sums.as<float>(), sums.as<float>() + rows * heads);
    if (first.empty()) first = found;
    EXPECT_EQ(found, first);
  }
}

TEST_P(MemoryKernelsTest, MergesByLse) {
  const int rows = 6, heads = spec_.query_heads, dim = spec_.value_dim;
  for (uint32_t flags : {0u, uint32_t{ForwardTile::kFirst}, uint32_t{ForwardTile::kLast}}) {
    for (int shift : {0, 4}) {
      const size_t count = rows * heads * dim;
      Bytes partial(4 * count, shift), partial_lse(4 * rows * heads), sums(4 * count),
          lse(4 * rows * heads), output(2 * count);
      for (Bytes* bytes : {&partial, &partial_lse, &sums, &lse}) FillFloats(*bytes);
      // Rows without keys, on either side and on both; what they hold is never read.
      partial_lse.as<float>()[3] = partial_lse.as<float>()[4] = -kInfinity;
      lse.as<float>()[4] = lse.as<float>()[5] = -kInfinity;
      for (int d = 0; d < dim; ++d) {
        partial.as<float>()[3 * dim + d] = partial.as<float>()[4 * dim + d] = std::nanf("");
        sums.as<float>()[4 * dim + d] = sums.as<float>()[5 * dim + d] = std::nanf("");
      }
      partial_lse.as<float>()[6] = 80;  // outweighs the other side
      const std::vector<float> old(sums.as<float>(), sums.as<float>() + count);
      const std::vector<float> old_lse(lse.as<float>(), lse.as<float>() + rows * heads);
      Bind("partial", partial, 4 * heads * dim);
      Bind("partial lse", partial_lse, 4 * heads);
      Bind("accumulator", sums, 4 * heads * dim);
      Bind("lse", lse, 4 * heads);
      Bind("output", output, 2 * heads * dim);
      MergeItem item = {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, rows, 0, 0, flags, {}};
      item.head_end = heads;
      Launch(Symbol("merge"), std::vector<MergeItem>{item});
      for (int i = 0; i < rows * heads; ++i) {
        const double a = partial_lse.as<float>()[i];
        const double b = (flags & ForwardTile::kFirst) != 0 ? -kInfinity : old_lse[i];
        const double most = std::max(a, b) == -kInfinity ? 0 : std::max(a, b);
        const double sum = std::exp(a - most) + std::exp(b - most);
        if (sum == 0) {
          EXPECT_EQ(lse.as<float>()[i], -kInfinity);
        } else {
          EXPECT_NEAR(lse.as<float>()[i], most + std::log(sum), 1e-5) << i;
        }
        for (int d = 0; d < dim; ++d) {
          const size_t at = i * dim + d;
          const double x = a == -kInfinity ? 0 : partial.as<float>()[at] * std::exp(a - most);
          const double y = b == -kInfinity ? 0 : old[at] * std::exp(b - most);
          const double expected = sum == 0 ? 0 : (x + y) / sum;
          const bool last = (flags & ForwardTile::kLast) != 0;
          const float found = last ? Get(output, at) : sums.as<float>()[at];
          EXPECT_NEAR(found, expected, last ? 2e-2 : 1e-5) << i << ", " << d;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, MemoryKernelsTest,
                         testing::Combine(testing::Values("sm_80", "sm_90a"),
                                          testing::Values(model::DType::kBF16,
                                                          model::DType::kF16)));

}  // namespace
}  // namespace flashcp::gpu
