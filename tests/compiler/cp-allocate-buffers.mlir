// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-allocate-buffers))' | FileCheck %s

// A K or V row takes 2 * 8 * 2 = 32 bytes, an accumulator row 4 * 8 * 4 = 128; offsets are multiples
// of 64.
// CHECK-LABEL: cp.batch @two_stages
cp.batch @two_stages ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // Rank 0 computes each query row in one tile and receives nothing.
  // CHECK: cp.program rank(0) layout {0 : [0, 60)} workspace_bytes(0) backward_workspace_bytes({{[0-9]+}}) saved_bytes(0) {
  cp.program rank(0) layout {0 : [0, 60)} {
    cp.attend stage(0) {0 : q[0, 60) kv[0, 60) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.exchange stage(2) kv heads[0, 2) receive {}
    cp.attend stage(2) {}
    // What comes back for its rows, in heads of rows of K and V: 7 and 53 rows, in one place.
    // CHECK: cp.buffer incoming stage(1) offset(16320) rows(28)
    // CHECK-NEXT: cp.buffer incoming stage(2) offset(16320) rows(212)
  }
  // CHECK: cp.program rank(1) layout {0 : [60, 100)} workspace_bytes(9088) backward_workspace_bytes(21632) saved_bytes(0) {
  cp.program rank(1) layout {0 : [60, 100)} {
    cp.attend stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 7)}
    cp.attend stage(1) {0 : q[60, 100) kv[0, 7) heads[0, 4)}
    cp.exchange stage(2) kv heads[0, 2) receive {0 : [7, 60)}
    cp.attend stage(2) {0 : q[60, 100) kv[7, 60) heads[0, 4)}
    // CHECK: cp.attend stage(2)
    // Keys of the stages, then their values.
    // CHECK-NEXT: cp.buffer remote_key stage(1) offset(0) rows(7)
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(1984) rows(7)
    // CHECK-NEXT: cp.buffer remote_key stage(2) offset(256) rows(53)
    // CHECK-NEXT: cp.buffer remote_value stage(2) offset(2240) rows(53)
    // CHECK-NEXT: cp.buffer accumulator stage(0) offset(3968) rows(40)
    // Backward begins where the accumulator does. Its stages take turns in one place for sums.
    // CHECK-NEXT: cp.buffer delta stage(0) offset(3968) rows(40)
    // CHECK-NEXT: cp.buffer query_sum stage(0) offset(4608) rows(40)
    // CHECK-NEXT: cp.buffer key_sum stage(0) offset(9728) rows(40)
    // CHECK-NEXT: cp.buffer value_sum stage(0) offset(12288) rows(40)
    // CHECK-NEXT: cp.buffer remote_key_sum stage(1) offset(14848) rows(7)
    // CHECK-NEXT: cp.buffer remote_value_sum stage(1) offset(18240) rows(7)
    // CHECK-NEXT: cp.buffer remote_key_sum stage(2) offset(14848) rows(53)
    // CHECK-NEXT: cp.buffer remote_value_sum stage(2) offset(18240) rows(53)
    // CHECK-NEXT: }
  }
}

// The buffers of a stage hold what owners send and what relays forward, in order of the tokens.
// CHECK-LABEL: cp.batch @relayed
cp.batch @relayed ranks(4) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 90) on 1, [90, 100) on 3}
  cp.program rank(3) layout {0 : [90, 100)} {
    cp.attend stage(0) {0 : q[90, 100) kv[90, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 10), 0 : [40, 50)}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [10, 20) from 2, 0 : [30, 40) from 2}
    cp.attend stage(1) {0 : q[90, 100) kv[0, 20) heads[0, 4)}
    // CHECK: cp.buffer remote_key stage(1) offset(0) rows(40)
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(1280) rows(40)
    // CHECK-NEXT: cp.buffer accumulator stage(0) offset(2560) rows(10)
  }
}

// Saved rows have a memory of their own.
// CHECK-LABEL: cp.batch @saved
cp.batch @saved ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(20) mask(causal)
  %d1 = cp.document length(20) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0, [10, 20) on 1}
  %s1 = cp.shard %d1 {[0, 10) on 0, [10, 20) on 1}
  // CHECK: cp.program rank(1) {{.*}} saved_bytes(640)
  cp.program rank(1) layout {0 : [10, 20), 1 : [10, 20)} {
    cp.attend stage(0) {0 : q[10, 20) kv[10, 20) heads[0, 4), 1 : q[10, 20) kv[10, 20) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 10) saved, 1 : [0, 10)}
    cp.attend stage(1) {0 : q[10, 20) kv[0, 10) heads[0, 4), 1 : q[10, 20) kv[0, 10) heads[0, 4)}
    // CHECK: cp.buffer remote_key stage(1) offset(0) rows(10)
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(640) rows(10)
    // CHECK-NEXT: cp.buffer saved_key stage(1) offset(0) rows(10)
    // CHECK-NEXT: cp.buffer saved_value stage(1) offset(320) rows(10)
    // CHECK: cp.buffer remote_key_sum stage(1) {{.*}} rows(10)
    // CHECK-NEXT: cp.buffer remote_value_sum stage(1) {{.*}} rows(10)
    // CHECK-NEXT: cp.buffer remote_key_sum stage(1) {{.*}} rows(10)
    // CHECK-NEXT: cp.buffer remote_value_sum stage(1) {{.*}} rows(10)
    // Gradients of saved rows do not replace them, but lie behind the other rows of their stage.
    // CHECK-NEXT: cp.buffer outgoing_key stage(1) offset(320) rows(10)
    // CHECK-NEXT: cp.buffer outgoing_value stage(1) offset(960) rows(10)
  }
}

// Buffers hold one group of heads. The rows of a single stage alternate between places, and four
// stages take turns in three.
// CHECK-LABEL: cp.batch @groups
cp.batch @groups ranks(2) heads<q = 8, kv = 4, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  cp.program rank(1) layout {0 : [60, 100)} head_groups(4) {
    cp.attend stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 2)}
    cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 60)}
    cp.attend stage(1) {0 : q[60, 100) kv[0, 60) heads[0, 2)}
    // CHECK: cp.buffer remote_key stage(1) offset(0) rows(60) places(3)
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(2880) rows(60) places(3)
    // CHECK-NEXT: cp.buffer accumulator stage(0) offset(5760) rows(40)
    // CHECK-NEXT: cp.buffer delta stage(0) offset(5760) rows(40)
    // CHECK-NEXT: cp.buffer query_sum stage(0) offset(6080) rows(40)
  }
}

// CHECK-LABEL: cp.batch @turns
cp.batch @turns ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  cp.program rank(1) layout {0 : [60, 100)} {
    cp.attend stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 2)}
    cp.attend stage(1) {0 : q[60, 100) kv[0, 2) heads[0, 4)}
    cp.exchange stage(2) kv heads[0, 2) receive {0 : [2, 4)}
    cp.attend stage(2) {0 : q[60, 100) kv[2, 4) heads[0, 4)}
    cp.exchange stage(3) kv heads[0, 2) receive {0 : [4, 6)}
    cp.attend stage(3) {0 : q[60, 100) kv[4, 6) heads[0, 4)}
    cp.exchange stage(4) kv heads[0, 2) receive {0 : [6, 60)}
    cp.attend stage(4) {0 : q[60, 100) kv[6, 60) heads[0, 4)}
    // CHECK: cp.buffer remote_key stage(1) offset(0) rows(2)
    // CHECK: cp.buffer remote_key stage(2) offset(1728) rows(2)
    // CHECK: cp.buffer remote_key stage(3) offset(1792) rows(2)
    // CHECK: cp.buffer remote_key stage(4) offset(0) rows(54)
  }
}
