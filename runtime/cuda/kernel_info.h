// What launchers must know of a generated GPU kernel, besides the tables that it reads.

#ifndef FLASHCP_RUNTIME_CUDA_KERNEL_INFO_H_
#define FLASHCP_RUNTIME_CUDA_KERNEL_INFO_H_

namespace flashcp::gpu {

struct KernelInfo {
  const char* symbol;
  int threads;
  int shared_bytes;  // of dynamic shared memory
  // Packed rows of an item's queries (forward), or of the blocks that an item takes queries in and
  // that turns count (backward); keys of a box (forward) or of an item (backward). 0 if the kernel
  // is not attention.
  int block_rows;
  int key_block;
};

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_KERNEL_INFO_H_
