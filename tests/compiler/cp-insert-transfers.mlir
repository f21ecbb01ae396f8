// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers))' | FileCheck %s

// Each tile gets what it reads and its rank does not own; rank 1 gets [0, 30) twice.
// CHECK-LABEL: cp.batch @needed
cp.batch @needed ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  // CHECK: %[[S:.*]] = cp.shard
  %s0 = cp.shard %d0 {[0, 30) on 0, [30, 50) on 1, [50, 80) on 0, [80, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 30) kv[0, 30) on 0, q[30, 50) kv[0, 50) on 1,
                             q[50, 80) kv[0, 80) on 0, q[80, 100) kv[0, 100) on 1}
  // CHECK: cp.transfer %[[S]] kv heads[0, 2) {[0, 30) to 1, [30, 50) to 0, [0, 30) to 1, [50, 80) to 1}
}

// A head range reads the key heads of its groups only.
// CHECK-LABEL: cp.batch @heads
cp.batch @heads ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 50) on 0, [50, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 50) kv[0, 50) on 0}
  // CHECK: cp.transfer %{{.*}} kv heads[1, 2) {[0, 50) to 1}
  cp.tiles %s0 heads[3, 4) {q[50, 100) kv[0, 100) on 1}
}

// What a rank owns does not move.
// CHECK-LABEL: cp.batch @local
// CHECK-NOT: cp.transfer
cp.batch @local ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 100) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 100) kv[0, 100) on 0}
}

// CHECK-LABEL: cp.batch @all_gather
cp.batch @all_gather ranks(3) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<all_gather>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 40) on 0, [40, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 40) kv[0, 40) on 0, q[40, 100) kv[0, 100) on 1}
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) {[40, 100) to 0, [0, 40) to 1, [0, 100) to 2}
}
