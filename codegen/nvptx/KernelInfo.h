// What launchers must know of each attention kernel, besides the tables that
// it reads: how it is launched and in which blocks tables must cut their work.

#ifndef FLASHCP_CODEGEN_NVPTX_KERNELINFO_H_
#define FLASHCP_CODEGEN_NVPTX_KERNELINFO_H_

#include "codegen/nvptx/KernelShape.h"

#include <string>

namespace flashcp::codegen::nvptx {

struct KernelInfo {
  std::string symbol;
  int threads;
  int sharedBytes; // of dynamic shared memory
  /// Packed rows of an item's block of queries (forward), or of the blocks
  /// that an item's queries are taken in and that turns count (backward).
  int blockRows;
  /// Keys that are loaded at a time (forward: height of the boxes of keys and
  /// values), or keys of an item (backward).
  int keyBlock;
  /// The most registers of a thread that a build may report.
  int registers;
};

KernelInfo forwardInfo(const AttentionShape &shape);
KernelInfo backwardInfo(const AttentionShape &shape);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_KERNELINFO_H_
