// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-coalesce-transfers))' | FileCheck %s

// CHECK-LABEL: cp.batch @merge
cp.batch @merge ranks(3) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 100) on 0}
  // Ranges that overlap or touch become one, ranks come in order, and so do positions.
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) {[0, 60) to 1, [70, 80) to 1, [5, 10) to 2}
  // CHECK-NEXT: }
  cp.transfer %s0 kv heads[0, 2) {[70, 80) to 1, [0, 30) to 1, [20, 50) to 1, [5, 10) to 2}
  cp.transfer %s0 kv heads[0, 2) {[50, 60) to 1}
}

// Other heads or other documents stay apart.
// CHECK-LABEL: cp.batch @apart
cp.batch @apart ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %d1 = cp.document length(100) mask(causal)
  // CHECK: %[[S0:.*]] = cp.shard
  %s0 = cp.shard %d0 {[0, 100) on 0}
  // CHECK: %[[S1:.*]] = cp.shard
  %s1 = cp.shard %d1 {[0, 100) on 0}
  // CHECK-NEXT: cp.transfer %[[S0]] kv heads[0, 1) {[0, 30) to 1}
  cp.transfer %s0 kv heads[0, 1) {[0, 30) to 1}
  // CHECK-NEXT: cp.transfer %[[S0]] kv heads[1, 2) {[0, 30) to 1}
  cp.transfer %s0 kv heads[1, 2) {[0, 30) to 1}
  // CHECK-NEXT: cp.transfer %[[S1]] kv heads[0, 1) {[0, 30) to 1}
  cp.transfer %s1 kv heads[0, 1) {[0, 30) to 1}
}
