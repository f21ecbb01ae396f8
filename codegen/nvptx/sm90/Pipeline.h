// How warps of one block hand data on through shared memory: mbarriers, rings
// of stages that are full or empty, and turns at the tensor cores.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_PIPELINE_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_PIPELINE_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx::sm90 {

/// Bytes of an mbarrier.
inline constexpr int barrierBytes = 8;

/// mbarriers by shared address. One thread initialises them, before a barrier
/// of the block.
void initBarrier(DeviceEmitter &emit, mlir::Value barrier, int arrivals);
/// Makes initialised barriers known to TMA.
void fenceBarriers(DeviceEmitter &emit);
/// Waits for the end of the phase of this parity.
void waitBarrier(DeviceEmitter &emit, mlir::Value barrier, mlir::Value parity);
/// Arrives, as one thread.
void arrive(DeviceEmitter &emit, mlir::Value barrier);
/// Arrives once for a warp whose lanes all call it, with what they did before
/// if a barrier of the warp or a wait for products is between.
void arriveAsWarp(DeviceEmitter &emit, mlir::Value barrier);
/// Arrives, as one thread, and makes the phase wait for bytes that TMA brings.
void arriveExpecting(DeviceEmitter &emit, mlir::Value barrier,
                     mlir::Value bytes);

/// Stages of shared memory that one side fills and the other empties, in turn:
/// the n-th use of all is of stage n % stages. Either side counts n.
struct Ring {
  mlir::Value fullBarriers, emptyBarriers; // i32, of the first stage
  int stages;

  mlir::Value stage(DeviceEmitter &emit, mlir::Value n) const;
  /// Returns where data of use n lies, of as many bytes a stage.
  mlir::Value at(DeviceEmitter &emit, mlir::Value data, mlir::Value n,
                 int64_t bytes) const;
  mlir::Value full(DeviceEmitter &emit, mlir::Value n) const;
  mlir::Value empty(DeviceEmitter &emit, mlir::Value n) const;
  void waitFull(DeviceEmitter &emit, mlir::Value n) const;
  /// Waits until use n - stages is over; of the first uses there is none.
  void waitEmpty(DeviceEmitter &emit, mlir::Value n) const;

private:
  mlir::Value parity(DeviceEmitter &emit, mlir::Value n) const;
};

/// Initialises a ring whose stages take so many arrivals to be full and empty.
/// A ring whose uses something else ends has no empty barriers.
void initRing(DeviceEmitter &emit, const Ring &ring, int fillers, int emptiers);

/// What an SM of Hopper lets a block have.
inline constexpr int mostSharedBytes = 227 * 1024;

/// Gives out offsets of shared memory, one after another.
class SharedAllocator {
public:
  int take(int bytes) {
    int offset = used;
    used += bytes;
    return offset;
  }
  int takeBarriers(int count) { return take(count * barrierBytes); }
  int bytes() const { return used; }

private:
  int used = 0;
};

/// Sets the registers that each thread of the warpgroup may use.
void releaseRegisters(DeviceEmitter &emit, int count);
void claimRegisters(DeviceEmitter &emit, int count);

/// Threads of a warpgroup and of a warp.
inline constexpr int groupThreads = 128;
inline constexpr int warpThreads = 32;
/// Return the number of the thread's warpgroup in the block, of its warp in the
/// warpgroup (both known to be the same for a warp) and of its lane.
mlir::Value warpgroupId(DeviceEmitter &emit);
mlir::Value warpInGroup(DeviceEmitter &emit);
mlir::Value laneId(DeviceEmitter &emit);

/// Warpgroups that start products in turn: while one computes on their
/// results, the tensor cores have those of another.
class Turns {
public:
  /// `member` is the number of this warpgroup among `members`.
  Turns(DeviceEmitter &emit, mlir::Value member, int members);
  void wait();
  void handOn();

private:
  DeviceEmitter &emit;
  mlir::Value own, next;
};

/// Waits for as many threads at a named barrier, 1 to 15; 0 is the block's.
void synchroniseNamed(DeviceEmitter &emit, mlir::Value barrier, int threads);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_PIPELINE_H_
