// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-allocate-buffers))' | FileCheck %s

// A K or V row takes 2 * 8 * 2 = 32 bytes, an accumulator row 4 * 8 * 4 = 128; offsets are multiples
// of 64.
// CHECK-LABEL: cp.batch @two_stages
cp.batch @two_stages ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // Rank 0 computes each query row in one tile and receives nothing.
  // CHECK: cp.program rank(0) layout {0 : [0, 60)} workspace_bytes(0) {
  cp.program rank(0) layout {0 : [0, 60)} {
    cp.compute stage(0) {0 : q[0, 60) kv[0, 60) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.compute stage(1) {}
    cp.exchange stage(2) kv heads[0, 2) receive {}
    cp.compute stage(2) {}
  }
  // CHECK: cp.program rank(1) layout {0 : [60, 100)} workspace_bytes(9088) {
  cp.program rank(1) layout {0 : [60, 100)} {
    cp.compute stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 7)}
    cp.compute stage(1) {0 : q[60, 100) kv[0, 7) heads[0, 4)}
    cp.exchange stage(2) kv heads[0, 2) receive {0 : [7, 60)}
    cp.compute stage(2) {0 : q[60, 100) kv[7, 60) heads[0, 4)}
    // CHECK: cp.compute stage(2)
    // CHECK-NEXT: cp.buffer remote_key stage(1) offset(0) holds {0 : [0, 7)}
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(256) holds {0 : [0, 7)}
    // CHECK-NEXT: cp.buffer remote_key stage(2) offset(512) holds {0 : [7, 60)}
    // CHECK-NEXT: cp.buffer remote_value stage(2) offset(2240) holds {0 : [7, 60)}
    // CHECK-NEXT: cp.buffer accumulator stage(0) offset(3968) holds {0 : [60, 100)}
  }
}
