// Special registers: fields of the thread's context, constants, and masks of lanes.

#include <algorithm>
#include <cstddef>
#include <map>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

const std::map<std::string, size_t>& Fields() {
  static const auto* const fields = [] {
    auto* const map = new std::map<std::string, size_t>;
    const auto add = [&](const char* name, size_t offset) {
      const char* const axes[] = {".x", ".y", ".z"};
      for (int i = 0; i < 3; ++i) {
        (*map)[absl::StrCat(name, axes[i])] = offset + i * sizeof(uint32_t);
      }
    };
    add("%tid", offsetof(ThreadContext, tid));
    add("%ntid", offsetof(ThreadContext, ntid));
    add("%ctaid", offsetof(ThreadContext, ctaid));
    add("%nctaid", offsetof(ThreadContext, nctaid));
    (*map)["%laneid"] = offsetof(ThreadContext, laneid);
    (*map)["%warpid"] = offsetof(ThreadContext, warpid);
    (*map)["%nwarpid"] = offsetof(ThreadContext, nwarpid);
    (*map)["%dynamic_smem_size"] = offsetof(ThreadContext, dynamic_shared_bytes);
    return map;
  }();
  return *fields;
}

// Registers of grids without clusters.
const std::map<std::string, uint32_t>& Constants() {
  static const auto* const constants = new std::map<std::string, uint32_t>{
      {"%cluster_ctaid.x", 0},  {"%cluster_ctaid.y", 0},  {"%cluster_ctaid.z", 0},
      {"%cluster_nctaid.x", 1}, {"%cluster_nctaid.y", 1}, {"%cluster_nctaid.z", 1},
      {"%cluster_ctarank", 0},  {"%cluster_nctarank", 1},
  };
  return *constants;
}

}  // namespace

absl::StatusOr<llvm::Value*> Translator::ReadSpecial(const ptx::Operand& operand, int bits) {
  llvm::Value* value = nullptr;
  const auto field = Fields().find(operand.name);
  const auto constant = Constants().find(operand.name);
  if (field != Fields().end()) {
    value = LoadContext(field->second, 32);
  } else if (constant != Constants().end()) {
    value = builder_.getInt32(constant->second);
  } else if (operand.name.rfind("%lanemask_", 0) == 0) {
    llvm::Value* const lane = LoadContext(offsetof(ThreadContext, laneid), 32);
    llvm::Value* const own = builder_.CreateShl(builder_.getInt32(1), lane);
    llvm::Value* const below = builder_.CreateSub(own, builder_.getInt32(1));
    const std::string kind = operand.name.substr(10);
    if (kind == "eq") value = own;
    if (kind == "lt") value = below;
    if (kind == "le") value = builder_.CreateOr(below, own);
    if (kind == "ge") value = builder_.CreateNot(below);
    if (kind == "gt") value = builder_.CreateNot(builder_.CreateOr(below, own));
  }
  if (value == nullptr) {
    return absl::UnimplementedError(absl::StrCat("unsupported special register ", operand.name));
  }
  return builder_.CreateZExt(value, Int(std::max(bits, 32)));
}

}  // namespace flashcp::emulator
