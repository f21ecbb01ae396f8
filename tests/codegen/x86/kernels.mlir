// The sums of every product, two of the forward kernel and five of the backward one, are carried by
// an innermost loop, in registers, four steps at a time: no loop touches the stack. Five of them come
// also with a vector of rows less, for keys that no row of it sees.

// RUN: flashcp-kernelgen --target avx2 --dim 128 | FileCheck %s --check-prefix=MLIR
// RUN: flashcp-kernelgen --target avx2 --dim 128 --emit asm | /usr/bin/python3 %S/inner_loops.py | FileCheck %s --check-prefix=AVX2
// RUN: flashcp-kernelgen --target avx512 --dim 128 --emit asm | /usr/bin/python3 %S/inner_loops.py | FileCheck %s --check-prefix=AVX512
// RUN: flashcp-kernelgen --target avx512-bf16 --dim 128 --emit asm | /usr/bin/python3 %S/inner_loops.py | FileCheck %s --check-prefix=BF16
// RUN: flashcp-kernelgen --target avx512-bf16 --dim 128 --emit asm | FileCheck %s --check-prefix=ROUND
// RUN: not flashcp-kernelgen --target avx3 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// MLIR-LABEL: func.func @flashcp_forward_avx2_128_128
// MLIR: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// MLIR-COUNT-48: vector.fma
// MLIR: scf.yield
// MLIR-LABEL: func.func @flashcp_backward_avx2_128_128

// Lines that come next are fetched between the products.
// RUN: flashcp-kernelgen --target avx512 --dim 64 --emit asm | FileCheck %s --check-prefix=FETCH
// FETCH-LABEL: flashcp_forward_avx512_64_64:
// FETCH: prefetcht1
// FETCH: vfmadd231ps
// FETCH: prefetcht1
// FETCH: vfmadd231ps
// FETCH-NOT: prefetcht1
// FETCH: Lfunc_end

// AVX2: vfmadd231ps ymm x 32: 5 loops, 0 uses of the stack
// AVX2-NEXT: vfmadd231ps ymm x 48: 7 loops, 0 uses of the stack
// AVX512: vfmadd231ps zmm x 32: 5 loops, 0 uses of the stack
// AVX512-NEXT: vfmadd231ps zmm x 64: 7 loops, 0 uses of the stack
// BF16: vdpbf16ps zmm x 32: 5 loops, 0 uses of the stack
// BF16-NEXT: vdpbf16ps zmm x 64: 7 loops, 0 uses of the stack

// 2^x of a weight is eight instructions, among them these.
// RUN: flashcp-kernelgen --target avx512 --dim 64 --emit asm | FileCheck %s --check-prefix=EXP2
// EXP2-LABEL: flashcp_forward_avx512_64_64:
// EXP2: vsubps
// EXP2-NEXT: vreduceps
// EXP2: vscalefps

// Two vectors are rounded by one instruction.
// ROUND-LABEL: flashcp_forward_avx512_bf16_128_128:
// ROUND-NOT: vcvtneps2bf16
// ROUND: vcvtne2ps2bf16
// ROUND-NEXT: vpermw
// ROUND-LABEL: flashcp_backward_avx512_bf16_128_128:
// ROUND-NOT: vcvtneps2bf16

// UNKNOWN: no kernel for --target avx3 --dim all; targets are avx2, avx512, avx512-bf16, dims 64, 96, 128, 192, 192:128, 256, any

// Code needs one target; what is before it does not.
// RUN: flashcp-kernelgen --dim any | FileCheck %s --check-prefix=ALL
// RUN: not flashcp-kernelgen --emit asm 2>&1 | FileCheck %s --check-prefix=ONE
// ALL: func.func @flashcp_forward_avx2_any
// ALL: func.func @flashcp_backward_avx512_bf16_any
// ONE: code is for one target: choose --target avx2, avx512, avx512-bf16
