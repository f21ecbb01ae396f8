// Each tensor of a tile becomes a buffer of its own, unless it is one already.

#include "tests/codegen/nvptx/launch_memory.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "support/status_macros.h"

namespace flashcp::testing {

gpu::BufferRow LaunchMemory::Add(absl::string_view name, const void* rows, int64_t count,
                                 int64_t row_bytes, int64_t used) {
  const auto known = buffers_.find(rows);
  if (known != buffers_.end()) return known->second;
  if (rows != nullptr && count > 0) {
    memory_.Register(name, rows, (count - 1) * row_bytes + used);
  }
  const uint64_t base = reinterpret_cast<uint64_t>(rows) - kRowsBefore * row_bytes;
  bindings_.push_back({base, static_cast<uint64_t>(row_bytes)});
  const gpu::BufferRow row = {static_cast<uint32_t>(bindings_.size() - 1), kRowsBefore};
  buffers_[rows] = row;
  return row;
}

uint16_t LaunchMemory::AddMap(gpu::BufferRow tensor, model::DType element, int dim, int heads,
                              int64_t rows, Box box) {
  constexpr uint32_t kColumns = 64;
  constexpr uint16_t kNan = 0x7fff;  // of both types
  const gpu::Binding& binding = bindings_[tensor.buffer];
  const int64_t all_rows = tensor.row + rows + box.rows;
  std::vector<uint16_t>& copy = neighboured_.emplace_back(all_rows * binding.row_bytes / 2, kNan);
  for (int64_t row = tensor.row; row < tensor.row + rows; ++row) {
    const int64_t offset = row * binding.row_bytes;
    std::memcpy(copy.data() + offset / 2, reinterpret_cast<const char*>(binding.base) + offset,
                static_cast<size_t>(dim) * heads * 2);
  }
  memory_.Register("tensor with neighbours", copy);
  emulator::TensorMap map;
  map.type = element == model::DType::kBF16 ? emulator::TensorMapType::kBf16
                                            : emulator::TensorMapType::kF16;
  map.global = reinterpret_cast<std::byte*>(copy.data());
  map.dims = {static_cast<uint64_t>(dim), static_cast<uint64_t>(heads),
              static_cast<uint64_t>(all_rows)};
  map.strides = {static_cast<uint64_t>(dim) * 2, binding.row_bytes};
  map.box = {kColumns, box.heads, box.rows};
  map.swizzle = emulator::Swizzle::k128Bytes;
  const auto image = emulator::EncodeTiled(map);
  EXPECT_TRUE(image.ok()) << image.status();
  if (image.ok()) maps_.push_back(*image);
  return static_cast<uint16_t>(maps_.size() - 1);
}

absl::Status LaunchMemory::Launch(const emulator::Kernel& kernel, const KernelSpec& spec,
                                  gpu::LaunchArguments arguments, size_t counters,
                                  const emulator::LaunchOptions& options) {
  std::vector<uint32_t> counts(counters), next_item(2);
  arguments.bindings = Table("bindings", bindings_);
  if (!maps_.empty()) arguments.maps = Table("maps", maps_);
  arguments.counters = Table("counters", counts);
  arguments.next_item = Table("next item", next_item);
  arguments.group = spec.query_heads / spec.key_value_heads;
  arguments.heads = spec.query_heads;
  arguments.value_dim = spec.value_dim;
  arguments.scale = spec.scale;
  arguments.scale_log2 = static_cast<float>(spec.scale * 1.4426950408889634);
  RETURN_IF_ERROR(emulator::Launch(kernel, {&arguments}, memory_, options));
  const auto zero = [](uint32_t count) { return count == 0; };
  if (!std::all_of(counts.begin(), counts.end(), zero) ||
      !std::all_of(next_item.begin(), next_item.end(), zero)) {
    return absl::InternalError(
        absl::StrCat(emulator::NameOf(kernel), ": expected all counters to be 0 after the launch"));
  }
  return absl::OkStatus();
}

}  // namespace flashcp::testing
