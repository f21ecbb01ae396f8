// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-relay-transfers,cp-verify-phase{phase=communicating}))' | FileCheck %s
// A second run finds nothing to do.
// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-relay-transfers,cp-relay-transfers))' | FileCheck %s

// Links are so fast that one stage is shortest: shares are those of a stage.
// Ranks 2 and 3 share a node and need [0, 1024) of the other one: each receives half of it, which is
// what one owner has, and forwards that half. What the node owns itself goes from its owner.
// CHECK-LABEL: cp.batch @shared
cp.batch @shared ranks(4) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e5, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(2048) mask(causal)
  %s0 = cp.shard %d0 {[0, 512) on 0, [512, 1024) on 1, [1024, 1536) on 2, [1536, 2048) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 512) kv[0, 512) on 0, q[512, 1024) kv[0, 1024) on 1,
                             q[1024, 1536) kv[0, 1536) on 2, q[1536, 2048) kv[0, 2048) on 3}
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) {[0, 512) to 1, [0, 512) to 2, [512, 1024) to 2 via 3, [0, 512) to 3 via 2, [512, 1536) to 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 512) to 1, [0, 1024) to 2, [0, 1536) to 3}
}

// Of owners with 500 and 700 rows the first relay gets all of one, from both documents, and 64 of the
// other: shares are even, but cuts lie at multiples of 64 rows.
// CHECK-LABEL: cp.batch @uneven
cp.batch @uneven ranks(4) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e5, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(1500) mask(causal)
  %d1 = cp.document length(1100) mask(causal)
  %d2 = cp.document length(200) mask(causal)
  %s0 = cp.shard %d0 {[0, 300) on 0, [300, 1000) on 1, [1000, 1250) on 2, [1250, 1500) on 3}
  %s1 = cp.shard %d1 {[0, 200) on 0, [200, 650) on 2, [650, 1100) on 3}
  %s2 = cp.shard %d2 {[0, 200) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 300) kv[0, 300) on 0, q[300, 1000) kv[0, 1000) on 1,
                             q[1000, 1250) kv[0, 1250) on 2, q[1250, 1500) kv[0, 1500) on 3}
  cp.tiles %s1 heads[0, 4) {q[0, 200) kv[0, 200) on 0, q[200, 650) kv[0, 650) on 2,
                             q[650, 1100) kv[0, 1100) on 3}
  cp.tiles %s2 heads[0, 4) {q[0, 200) kv[0, 200) on 0}
  // CHECK: cp.transfer %{{.*}}{[0, 300) to 1, [0, 364) to 2, [364, 1000) to 2 via 3, [0, 364) to 3 via 2, [364, 1250) to 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 300) to 1, [0, 1000) to 2, [0, 1250) to 3}
  // CHECK-NEXT: cp.transfer %{{.*}}{[0, 200) to 2, [0, 200) to 3 via 2, [200, 650) to 3}
  cp.transfer %s1 kv heads[0, 2) {[0, 200) to 2, [0, 650) to 3}
}

// Short runs are not cut, even if they have rows of several documents: which rank relays depends on
// the owner.
// CHECK-LABEL: cp.batch @turns
cp.batch @turns ranks(4) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e5, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(400) mask(causal)
  %d1 = cp.document length(400) mask(causal)
  %d2 = cp.document length(400) mask(causal)
  %s0 = cp.shard %d0 {[0, 200) on 1, [200, 300) on 2, [300, 400) on 3}
  %s1 = cp.shard %d1 {[0, 100) on 1, [100, 200) on 2, [200, 400) on 3}
  %s2 = cp.shard %d2 {[0, 300) on 0, [300, 400) on 2}
  cp.tiles %s0 heads[0, 4) {q[0, 200) kv[0, 200) on 1, q[200, 300) kv[0, 300) on 2,
                             q[300, 400) kv[0, 400) on 3}
  cp.tiles %s1 heads[0, 4) {q[0, 100) kv[0, 100) on 1, q[100, 200) kv[0, 200) on 2,
                             q[200, 400) kv[0, 400) on 3}
  cp.tiles %s2 heads[0, 4) {q[0, 300) kv[0, 300) on 0, q[300, 400) kv[0, 400) on 2}
  // CHECK: cp.transfer %{{.*}}{[0, 200) to 2 via 3, [0, 300) to 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 200) to 2, [0, 300) to 3}
  // CHECK-NEXT: cp.transfer %{{.*}}{[0, 100) to 2 via 3, [0, 200) to 3}
  cp.transfer %s1 kv heads[0, 2) {[0, 100) to 2, [0, 200) to 3}
  // CHECK-NEXT: cp.transfer %{{.*}}{[0, 300) to 2}
  cp.transfer %s2 kv heads[0, 2) {[0, 300) to 2}
}

// The last node may have one rank, which has nobody to share with; rank 1 needs [300, 600) alone.
// CHECK-LABEL: cp.batch @last_node
cp.batch @last_node ranks(3) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e5, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(900) mask(causal)
  %s0 = cp.shard %d0 {[0, 300) on 0, [300, 600) on 2, [600, 900) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 300) kv[0, 300) on 0, q[300, 600) kv[0, 600) on 2,
                             q[600, 900) kv[0, 900) on 1}
  // CHECK: cp.transfer %{{.*}}{[0, 600) to 1, [0, 300) to 2}
  cp.transfer %s0 kv heads[0, 2) {[0, 600) to 1, [0, 300) to 2}
}

// On one node nothing changes.
// CHECK-LABEL: cp.batch @one_node
cp.batch @one_node ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e5, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(1000) mask(full)
  %s0 = cp.shard %d0 {[0, 500) on 0, [500, 1000) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 500) kv[0, 1000) on 0, q[500, 1000) kv[0, 1000) on 1}
  // CHECK: cp.transfer %{{.*}}{[500, 1000) to 0, [0, 500) to 1}
  cp.transfer %s0 kv heads[0, 2) {[500, 1000) to 0, [0, 500) to 1}
}
