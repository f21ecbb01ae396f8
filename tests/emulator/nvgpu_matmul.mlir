// C = A B of 64 x 64 elements by TMA and warpgroup.mma of the nvgpu dialect: its lowering to descriptors,
// swizzled tiles and fragments was written by others and has run on hardware, so that the emulator's
// reading of the ISA is held to it. TYPE is replaced.

#shared = #gpu.address_space<workgroup>
!map = !nvgpu.tensormap.descriptor<tensor = memref<64x64xTYPE, #shared>,
    swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
!operand = !nvgpu.warpgroup.descriptor<tensor = memref<64x64xTYPE, #shared>>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>
!barrier = !nvgpu.mbarrier.group<memorySpace = #shared>

module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @matmul(%map_a: !llvm.ptr, %map_b: !llvm.ptr, %c: memref<64x64xf32>)
        workgroup(%tile_a: memref<64x64xTYPE, #shared> {llvm.align = 1024 : i64},
                  %tile_b: memref<64x64xTYPE, #shared> {llvm.align = 1024 : i64},
                  %tile_c: memref<64x64xf32, #shared> {llvm.align = 16 : i64})
        kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %a = builtin.unrealized_conversion_cast %map_a : !llvm.ptr to !map
      %b = builtin.unrealized_conversion_cast %map_b : !llvm.ptr to !map
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c64 = arith.constant 64 : index
      %bytes = arith.constant 16384 : index
      %ticks = arith.constant 10000000 : index
      %even = arith.constant false
      %thread = gpu.thread_id x
      %leads = arith.cmpi eq, %thread, %c0 : index

      %full = nvgpu.mbarrier.create -> !barrier
      nvgpu.mbarrier.init %full[%c0], %c1, predicate = %leads : !barrier
      gpu.barrier
      nvgpu.tma.prefetch.descriptor %a, predicate = %leads : !map
      nvgpu.mbarrier.arrive.expect_tx %full[%c0], %bytes, predicate = %leads : !barrier
      nvgpu.tma.async.load %a[%c0, %c0], %full[%c0] to %tile_a, predicate = %leads
          : !map, !barrier -> memref<64x64xTYPE, #shared>
      nvgpu.tma.async.load %b[%c0, %c0], %full[%c0] to %tile_b, predicate = %leads
          : !map, !barrier -> memref<64x64xTYPE, #shared>
      nvgpu.mbarrier.try_wait.parity %full[%c0], %even, %ticks : !barrier

      %zeros = nvgpu.warpgroup.mma.init.accumulator -> !sums
      %operand_a = nvgpu.warpgroup.generate.descriptor %tile_a, %a
          : memref<64x64xTYPE, #shared>, !map -> !operand
      %operand_b = nvgpu.warpgroup.generate.descriptor %tile_b, %b
          : memref<64x64xTYPE, #shared>, !map -> !operand
      %sums = nvgpu.warpgroup.mma %operand_a, %operand_b, %zeros {transposeB}
          : !operand, !operand, !sums -> !sums
      nvgpu.warpgroup.mma.store %sums, %tile_c : !sums to memref<64x64xf32, #shared>
      gpu.barrier

      %column = arith.remui %thread, %c64 : index
      %first = arith.divui %thread, %c64 : index
      scf.for %row = %first to %c64 step %c2 {
        %sum = memref.load %tile_c[%row, %column] : memref<64x64xf32, #shared>
        memref.store %sum, %c[%row, %column] : memref<64x64xf32>
      }
      gpu.return
    }
  }
}
