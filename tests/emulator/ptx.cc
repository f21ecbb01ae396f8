// Names of PTX types, and what instructions say of themselves.

#include "tests/emulator/ptx.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_join.h"

namespace flashcp::emulator::ptx {

bool ParseType(const std::string& text, Type* type) {
  using Kind = Type::Kind;
  static const auto* const kTypes = new std::map<std::string, Type>{
      {"pred", {Kind::kPredicate, 1, 1}}, {"b8", {Kind::kBits, 8, 1}},
      {"b16", {Kind::kBits, 16, 1}},      {"b32", {Kind::kBits, 32, 1}},
      {"b64", {Kind::kBits, 64, 1}},      {"b128", {Kind::kBits, 128, 1}},
      {"u8", {Kind::kUnsigned, 8, 1}},    {"u16", {Kind::kUnsigned, 16, 1}},
      {"u32", {Kind::kUnsigned, 32, 1}},  {"u64", {Kind::kUnsigned, 64, 1}},
      {"s8", {Kind::kSigned, 8, 1}},      {"s16", {Kind::kSigned, 16, 1}},
      {"s32", {Kind::kSigned, 32, 1}},    {"s64", {Kind::kSigned, 64, 1}},
      {"f16", {Kind::kFloat, 16, 1}},     {"f32", {Kind::kFloat, 32, 1}},
      {"f64", {Kind::kFloat, 64, 1}},     {"bf16", {Kind::kBfloat, 16, 1}},
      {"f16x2", {Kind::kFloat, 16, 2}},   {"bf16x2", {Kind::kBfloat, 16, 2}},
  };
  const auto found = kTypes->find(text);
  if (found == kTypes->end()) return false;
  *type = found->second;
  return true;
}

bool Instruction::Has(const std::string& modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

std::string Instruction::Modifiers() const { return absl::StrJoin(modifiers, "."); }

}  // namespace flashcp::emulator::ptx
