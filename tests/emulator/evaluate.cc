// Wraps the code in a kernel that loads operands and stores the result, both as 64 bits.

#include "tests/emulator/evaluate.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "support/status_macros.h"
#include "tests/emulator/emulator.h"

namespace flashcp::emulator {
namespace {

constexpr char kPrologue[] = R"(
.version 8.6
.target sm_90a
.address_size 64
.visible .entry evaluate(.param .u64 from, .param .u64 to)
{
  .reg .pred %p, %q;
  .reg .b16 %ha, %hb, %hc, %h;
  .reg .b32 %a, %b, %c, %d, %x, %y, %tid;
  .reg .b64 %A, %B, %C, %D, %X, %Y, %from, %to, %offset;
  .shared .align 16 .b8 tile[1024];
  mov.u32 %tid, %tid.x;
  ld.param.u64 %from, [from];
  ld.param.u64 %to, [to];
  mad.wide.u32 %from, %tid, 24, %from;
  mad.wide.u32 %to, %tid, 8, %to;
  ld.global.b64 %A, [%from];
  ld.global.b64 %B, [%from+8];
  ld.global.b64 %C, [%from+16];
  cvt.u32.u64 %a, %A;
  cvt.u32.u64 %b, %B;
  cvt.u32.u64 %c, %C;
  cvt.u16.u64 %ha, %A;
  cvt.u16.u64 %hb, %B;
  cvt.u16.u64 %hc, %C;
)";

std::string Epilogue(absl::string_view code) {
  const auto names = [&](absl::string_view name) {
    return code.find(name) != absl::string_view::npos;
  };
  const char* const widen = names("%D")   ? ""
                            : names("%d") ? "  cvt.u64.u32 %D, %d;\n"
                                          : "  cvt.u64.u16 %D, %h;\n";
  return absl::StrCat("\n", widen, "  st.global.b64 [%to], %D;\n  ret;\n}\n");
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> Evaluate(const std::string& code,
                                               const std::vector<std::vector<uint64_t>>& operands,
                                               const Schedule& schedule) {
  const size_t lanes = operands[0].size();
  std::vector<uint64_t> from(3 * lanes);
  std::vector<uint64_t> to(lanes, 0xdeadbeefdeadbeef);
  for (size_t lane = 0; lane < lanes; ++lane) {
    for (size_t i = 0; i < operands.size(); ++i) from[3 * lane + i] = operands[i][lane];
  }
  ASSIGN_OR_RETURN(auto module, Module::Load(absl::StrCat(kPrologue, code, Epilogue(code))));
  ASSIGN_OR_RETURN(const Kernel* const kernel, module->FindKernel("evaluate"));
  GlobalMemory memory;
  memory.Register("from", from);
  memory.Register("to", to);
  const void* const from_data = from.data();
  const void* const to_data = to.data();
  LaunchOptions options;
  options.block = {static_cast<int>(lanes), 1, 1};
  options.schedule = schedule;
  RETURN_IF_ERROR(Launch(*kernel, {&from_data, &to_data}, memory, options));
  return to;
}

uint64_t EvaluateOne(const std::string& code, const std::vector<uint64_t>& operands) {
  std::vector<std::vector<uint64_t>> columns;
  for (uint64_t operand : operands) columns.push_back({operand});
  const auto result = Evaluate(code, columns);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? (*result)[0] : ~uint64_t{0};
}

}  // namespace flashcp::emulator
