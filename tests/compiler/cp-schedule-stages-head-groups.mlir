// A program has the heads of one group, and runs once for each group.
// RUN: flashcp-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages{stages=1 head-groups=2}))' | FileCheck %s
// RUN: not flashcp-opt %s --split-input-file --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages{stages=1 head-groups=3}))' 2>&1 | FileCheck %s --check-prefix=UNEVEN
// UNEVEN: error: 'cp.batch' op head-groups: 2 key/value heads do not make 3 equal groups

// CHECK-LABEL: cp.batch @groups
cp.batch @groups ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %d1 = cp.document length(40) mask(causal)
  %s0 = cp.shard %d0 {[0, 70) on 0, [70, 100) on 1}
  %s1 = cp.shard %d1 {[0, 40) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 70) kv[0, 70) on 0, q[70, 100) kv[0, 100) on 1}
  cp.tiles %s1 heads[0, 4) {q[0, 40) kv[0, 40) on 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 70) to 1}
  // CHECK: cp.program rank(1) layout {0 : [70, 100), 1 : [0, 40)} head_groups(2) {
  // CHECK-NEXT: cp.attend stage(0) {0 : q[70, 100) kv[70, 100) heads[0, 2), 1 : q[0, 40) kv[0, 40) heads[0, 2)}
  // CHECK-NEXT: cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 70)}
  // CHECK-NEXT: cp.attend stage(1) {0 : q[70, 100) kv[0, 70) heads[0, 2)}
}

// -----

cp.batch @part_of_heads ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 100) on 0}
  // expected-error @+1 {{C21: head groups divide tiles of all 4 query heads, found [0, 2)}}
  cp.tiles %s0 heads[0, 2) {q[0, 100) kv[0, 100) on 0}
  cp.tiles %s0 heads[2, 4) {q[0, 100) kv[0, 100) on 0}
}
