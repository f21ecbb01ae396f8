// PTX ISA, "mbarrier", "barrier" and "setmaxnreg".

#include "codegen/nvptx/sm90/Pipeline.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

// For statements that memory accesses must not move across.
static constexpr llvm::StringLiteral clobbersMemory = ",~{memory}";

static void statement(DeviceEmitter &emit, const Twine &text,
                      StringRef constraints, ValueRange operands) {
  emit.ptx(text, (constraints + clobbersMemory).str(), operands, {});
}

void initBarrier(DeviceEmitter &emit, Value barrier, int arrivals) {
  statement(emit, "mbarrier.init.shared::cta.b64 [$0], $1;", "r,r",
            {barrier, emit.i32(arrivals)});
}

void fenceBarriers(DeviceEmitter &emit) {
  emit.ptx("fence.mbarrier_init.release.cluster;", "~{memory}", {}, {});
}

// A hint of how long a thread may sleep before it looks again.
static constexpr int64_t sleepNanoseconds = 10000000;

void waitBarrier(DeviceEmitter &emit, Value barrier, Value parity) {
  NVVM::MBarrierTryWaitParityOp::create(emit.builder,
                                        emit.sharedPointer(barrier), parity,
                                        emit.i32(sleepNanoseconds));
}

void arrive(DeviceEmitter &emit, Value barrier) {
  statement(emit, "mbarrier.arrive.shared::cta.b64 _, [$0];", "r", barrier);
}

// Predicated, so that no branch splits a stage of products.
void arriveAsWarp(DeviceEmitter &emit, Value barrier) {
  statement(emit,
            "{ .reg .pred first; setp.eq.u32 first, $1, 0; "
            "@first mbarrier.arrive.shared::cta.b64 _, [$0]; }",
            "r,r", {barrier, laneId(emit)});
}

void arriveExpecting(DeviceEmitter &emit, Value barrier, Value bytes) {
  statement(emit, "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;",
            "r,r", {barrier, bytes});
}

Value Ring::stage(DeviceEmitter &emit, Value n) const {
  return llvm::isPowerOf2_32(stages) ? emit.bitAnd(n, stages - 1)
                                     : emit.remainder(n, emit.i32(stages));
}

Value Ring::at(DeviceEmitter &emit, Value data, Value n, int64_t bytes) const {
  return emit.add(data, emit.mul(stage(emit, n), bytes));
}

Value Ring::parity(DeviceEmitter &emit, Value n) const {
  return emit.bitAnd(emit.div(n, stages), 1);
}

Value Ring::full(DeviceEmitter &emit, Value n) const {
  return emit.add(fullBarriers, emit.mul(stage(emit, n), barrierBytes));
}

Value Ring::empty(DeviceEmitter &emit, Value n) const {
  return emit.add(emptyBarriers, emit.mul(stage(emit, n), barrierBytes));
}

void Ring::waitFull(DeviceEmitter &emit, Value n) const {
  waitBarrier(emit, full(emit, n), parity(emit, n));
}

void Ring::waitEmpty(DeviceEmitter &emit, Value n) const {
  waitBarrier(emit, empty(emit, n), emit.bitXor(parity(emit, n), emit.i32(1)));
}

void initRing(DeviceEmitter &emit, const Ring &ring, int fillers,
              int emptiers) {
  for (int stage = 0; stage < ring.stages; ++stage) {
    initBarrier(emit, emit.add(ring.fullBarriers, stage * barrierBytes),
                fillers);
    if (ring.emptyBarriers)
      initBarrier(emit, emit.add(ring.emptyBarriers, stage * barrierBytes),
                  emptiers);
  }
}

void releaseRegisters(DeviceEmitter &emit, int count) {
  NVVM::SetMaxRegisterOp::create(emit.builder, count,
                                 NVVM::SetMaxRegisterAction::decrease);
}

void claimRegisters(DeviceEmitter &emit, int count) {
  NVVM::SetMaxRegisterOp::create(emit.builder, count,
                                 NVVM::SetMaxRegisterAction::increase);
}

// Taken from a lane, so that ptxas keeps what follows from it in uniform
// registers.
Value warpgroupId(DeviceEmitter &emit) {
  return emit.shuffleIndex(emit.div(emit.threadId(), groupThreads), 0);
}

Value warpInGroup(DeviceEmitter &emit) {
  Value warp = emit.div(emit.threadId(), warpThreads);
  return emit.shuffleIndex(emit.bitAnd(warp, groupThreads / warpThreads - 1),
                           0);
}

Value laneId(DeviceEmitter &emit) {
  return emit.bitAnd(emit.threadId(), warpThreads - 1);
}

void synchroniseNamed(DeviceEmitter &emit, Value barrier, int threads) {
  statement(emit, "bar.sync $0, $1;", "r,r", {barrier, emit.i32(threads)});
}

static void arriveNamed(DeviceEmitter &emit, Value barrier, int threads) {
  statement(emit, "bar.arrive $0, $1;", "r,r", {barrier, emit.i32(threads)});
}

// The first member starts with the turn that nobody hands on to it.
Turns::Turns(DeviceEmitter &emit, Value member, int members)
    : emit(emit), own(emit.add(member, 1)) {
  Value wraps = emit.isEqual(own, members);
  next = emit.add(emit.select(wraps, emit.i32(0), own), 1);
  emit.ifThen(emit.isEqual(member, 0),
              [&] { arriveNamed(emit, own, 2 * groupThreads); });
}

void Turns::wait() { synchroniseNamed(emit, own, 2 * groupThreads); }

void Turns::handOn() { arriveNamed(emit, next, 2 * groupThreads); }

} // namespace flashcp::codegen::nvptx::sm90
