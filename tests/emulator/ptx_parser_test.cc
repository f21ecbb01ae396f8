// PTX as LLVM, nvcc and inline assembly write it, and what the parser says of errors.

#include "tests/emulator/ptx_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace flashcp::emulator::ptx {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Operand::Kind;

constexpr char kHeader[] = "//\n.version 8.6\n.target sm_90a, debug\n.address_size 64\n";

Kernel ParseKernel(const std::string& body) {
  const auto module = Parse(absl::StrCat(kHeader, ".visible .entry k()\n{\n", body, "\n}\n"));
  EXPECT_EQ(module.status(), absl::OkStatus());
  return module.ok() ? module->kernels.at(0) : Kernel();
}

std::string ErrorOf(const std::string& body) {
  return std::string(
      Parse(absl::StrCat(kHeader, ".entry k()\n{\n", body, "\n}\n")).status().message());
}

TEST(PtxParserTest, ModuleAndParameters) {
  const auto module = Parse(absl::StrCat(kHeader, R"(
    .extern .shared .align 1024 .b8 smem[];
    .const .align 8 .b8 bytes[8] = {1, 2, 0xff};
    .visible .entry first(
      .param .u64 .ptr .global .align 16 first_param_0,
      .param .u32 first_param_1,
      .param .align 8 .b8 first_param_2[24],
      .param .f32 first_param_3
    )
    .reqntid 384, 1, 1
    .minnctapersm 1
    { ret; }
    .entry second() .maxntid 64 { ret; })"));
  ASSERT_EQ(module.status(), absl::OkStatus());
  EXPECT_EQ(module->version, 86);
  EXPECT_EQ(module->target, "sm_90a");
  ASSERT_EQ(module->variables.size(), 2);
  EXPECT_TRUE(module->variables[0].dynamic);
  EXPECT_EQ(module->variables[0].alignment, 1024);
  EXPECT_THAT(module->variables[1].contents, ElementsAre(1, 2, 255, 0, 0, 0, 0, 0));
  ASSERT_EQ(module->kernels.size(), 2);
  const Kernel& kernel = module->kernels[0];
  EXPECT_THAT(kernel.required_threads, ElementsAre(384, 1, 1));
  EXPECT_THAT(module->kernels[1].most_threads, ElementsAre(64, 1, 1));
  ASSERT_EQ(kernel.parameters.size(), 4);
  // The alignment after .ptr is that of the memory pointed to.
  EXPECT_EQ(kernel.parameters[1].offset, 8);
  EXPECT_EQ(kernel.parameters[2].offset, 16);
  EXPECT_EQ(kernel.parameters[2].bytes, 24);
  EXPECT_EQ(kernel.parameters[3].offset, 40);
}

TEST(PtxParserTest, Instructions) {
  const Kernel kernel = ParseKernel(R"(
    .reg .pred %p<2>;
    .reg .b32 %r<10>, %other;
    .reg .b64 %rd1;
    @!%p1 ld.shared::cta.v2.b32 {%r1, _}, [%rd1+-16];  // a comment
    shfl.sync.bfly.b32 %r1|%p0, %r9, 0x1F, -1, %laneid;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile [%r1], [%rd1, {%r2, 7}], [%r3];
    setp.eq.f32 %p0, 0f3F800000, 0dBFF0000000000000;)");
  ASSERT_EQ(kernel.instructions.size(), 4);
  const Instruction& load = kernel.instructions[0];
  EXPECT_EQ(load.opcode, "ld");
  EXPECT_THAT(load.modifiers, ElementsAre("shared::cta", "v2", "b32"));
  EXPECT_EQ(kernel.registers[load.guard].name, "%p1");
  EXPECT_TRUE(load.guard_negated);
  EXPECT_EQ(load.line, 11);
  EXPECT_EQ(load.text, "@!%p1 ld.shared::cta.v2.b32 {%r1, _}, [%rd1+-16]");
  EXPECT_EQ(load.operands[0].elements[1].kind, Kind::kSink);
  EXPECT_EQ(load.operands[1].offset, -16);

  const Instruction& shuffle = kernel.instructions[1];
  EXPECT_EQ(shuffle.operands[0].kind, Kind::kPair);
  EXPECT_EQ(shuffle.operands[2].bits, 31);
  EXPECT_EQ(shuffle.operands[3].bits, ~uint64_t{0});
  EXPECT_EQ(shuffle.operands[4].kind, Kind::kSpecial);

  const Instruction& copy = kernel.instructions[2];
  EXPECT_EQ(copy.operands[1].kind, Kind::kAddress);
  EXPECT_EQ(copy.operands[1].elements[1].elements.size(), 2);

  const Instruction& compare = kernel.instructions[3];
  EXPECT_EQ(compare.operands[1].bits, 0x3f800000);
  EXPECT_EQ(compare.operands[2].literal, Operand::Literal::kFloat64);
}

TEST(PtxParserTest, Numbers) {
  const Kernel kernel = ParseKernel(R"(
    .reg .b64 %rd0;
    mov.b64 %rd0, 0x1fU; mov.b64 %rd0, 0b101; mov.b64 %rd0, 017; mov.b64 %rd0, 0;
    mov.b64 %rd0, 18446744073709551615; mov.b64 %rd0, -5;)");
  std::vector<uint64_t> values;
  for (const Instruction& instruction : kernel.instructions) {
    values.push_back(instruction.operands[1].bits);
  }
  EXPECT_THAT(values, ElementsAre(31, 5, 15, 0, ~uint64_t{0}, ~uint64_t{0} - 4));
}

TEST(PtxParserTest, ScopesHaveTheirOwnLabelsAndRegisters) {
  const Kernel kernel = ParseKernel(R"(
    .reg .pred %p;
    { .reg .pred p;
      WAIT: setp.eq.u32 p, 0, 0;
      @p bra.uni DONE;
      bra.uni WAIT;
      DONE: }
    { .reg .pred p;
      WAIT: setp.eq.u32 p, 1, 1;
      @p bra.uni DONE;
      bra.uni WAIT;
      DONE: }
    bra END;
    END: ret;)");
  ASSERT_EQ(kernel.instructions.size(), 8);
  const auto target = [&](int i) { return kernel.instructions[i].operands[0].target; };
  EXPECT_EQ(target(1), 3);
  EXPECT_EQ(target(2), 0);
  EXPECT_EQ(target(4), 6);
  EXPECT_EQ(target(5), 3);
  EXPECT_EQ(target(6), 7);
  EXPECT_NE(kernel.instructions[0].operands[0].reg, kernel.instructions[3].operands[0].reg);
}

TEST(PtxParserTest, Errors) {
  EXPECT_EQ(ErrorOf("bra nowhere;"), "PTX line 7: unknown label nowhere");
  EXPECT_EQ(ErrorOf("@%p1 ret;"), "PTX line 7: unknown predicate %p1, found \"ret\"");
  EXPECT_THAT(ErrorOf("ret"), HasSubstr("PTX line 8: expected an operand, found \"}\""));
  EXPECT_THAT(ErrorOf("call foo;"), HasSubstr("calls are not supported"));
  EXPECT_THAT(ErrorOf("a: ret;\na: ret;"), HasSubstr("the label a appears twice"));
  EXPECT_THAT(ErrorOf("mov.b32 12z, 3;"), HasSubstr("malformed number 12z"));
  EXPECT_THAT(ErrorOf(".reg .q32 x;"), HasSubstr("unknown register type .q32"));
  EXPECT_THAT(ErrorOf("/* ret;"), HasSubstr("a comment without end"));
}

}  // namespace
}  // namespace flashcp::emulator::ptx
