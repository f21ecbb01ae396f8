// Every op and attribute prints as it parses, in pretty and in generic form.
// RUN: flashcp-opt %s | FileCheck %s
// RUN: flashcp-opt %s | flashcp-opt | FileCheck %s
// RUN: flashcp-opt %s --mlir-print-op-generic | flashcp-opt | FileCheck %s
// RUN: flashcp-opt %s --emit-bytecode | flashcp-opt | FileCheck %s

// CHECK-LABEL: cp.batch @problem ranks(2) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed> cluster<"h100x8"> {
cp.batch @problem ranks(2) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  // CHECK-NEXT: cp.document length(4096) mask(causal)
  %d0 = cp.document length(4096) mask(causal)
  // CHECK-NEXT: cp.document length(7) mask(full)
  %d1 = cp.document length(7) mask(full)
  // CHECK-NEXT: cp.document length(0) mask(window<1024>)
  %d2 = cp.document length(0) mask(window<1024>)
  // CHECK-NEXT: cp.document length(9) mask(band<-300:200>)
  %d3 = cp.document length(9) mask(band<-300:200>)
  // CHECK-NEXT: cp.document length(9) mask(band<none:-3>)
  %d4 = cp.document length(9) mask(band<none:-3>)
}

// CHECK-LABEL: cp.batch @layout
cp.batch @layout ranks(2) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed>
    cluster<"h100x8"> strategy("layout") {
  // CHECK-NEXT: cp.document length(100) mask(causal) layout {[0, 60) on 1, [60, 100) on 0}
  %d0 = cp.document length(100) mask(causal) layout {[0, 60) on 1, [60, 100) on 0}
  // CHECK-NEXT: cp.document length(0) mask(full) layout {}
  %d1 = cp.document length(0) mask(full) layout {}
}

// CHECK-LABEL: cp.batch @options
// CHECK-SAME: scale(3.125000e-02) dtype(f16) exchange<all_gather> slack_percent(2.500000e+00) cluster<"mine",
// CHECK-SAME: block = array<i64: 128, 128>, columns = array<i64: 128, 256>
// CHECK-SAME: strategy("zigzag") time_budget_ms(1.500000e+00) memory_budget_bytes(1048576)
// CHECK-SAME: workspace_limit_bytes(65536) {
cp.batch @options ranks(1) heads<q = 1, kv = 1, dim = 8> scale(0.03125) dtype(f16)
    exchange<all_gather> slack_percent(2.5)
    cluster<"mine", {ranks_per_node = 4 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                     inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                     columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                     backward_us = array<f64: 1.0, 1.5>}>
    strategy("zigzag") time_budget_ms(1.5) memory_budget_bytes(1048576)
    workspace_limit_bytes(65536) {
}

// Defaults are not printed, and a scale is all the digits that it needs.
// CHECK-LABEL: cp.batch @defaults
// CHECK-SAME: scale(0.0883883461) dtype(bf16) exchange<needed> cluster<"cpu"> {
cp.batch @defaults ranks(1) heads<q = 1, kv = 1, dim = 8> scale(0.0883883461) dtype(bf16)
    exchange<needed> slack_percent(0.0) cluster<"cpu"> strategy("auto") time_budget_ms(20.0)
    memory_budget_bytes(0) {
}

// CHECK-LABEL: cp.batch @placed
cp.batch @placed ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed>
    cluster<"cpu"> {
  // CHECK-NEXT: %[[D0:.*]] = cp.document
  %d0 = cp.document length(100) mask(causal)
  %d1 = cp.document length(0) mask(causal)
  // CHECK: %[[S0:.*]] = cp.shard %[[D0]] {[0, 60) on 0, [60, 100) on 1}
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // CHECK-NEXT: cp.shard %{{.*}} {}
  %s1 = cp.shard %d1 {}
  // CHECK-NEXT: cp.tiles %[[S0]] heads[0, 4) {q[0, 60) kv[0, 60) on 0, q[60, 100) kv[0, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 60) kv[0, 60) on 0, q[60, 100) kv[0, 100) on 1}
  // CHECK-NEXT: cp.transfer %[[S0]] kv heads[0, 2) {[0, 60) to 1, [60, 90) to 0 via 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 60) to 1, [60, 90) to 0 via 1}
  // CHECK-NEXT: cp.transfer %[[S0]] kv heads[0, 1) saved {[0, 60) to 1}
  cp.transfer %s0 kv heads[0, 1) saved {[0, 60) to 1}
}

// CHECK-LABEL: cp.batch @scheduled
cp.batch @scheduled ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed>
    cluster<"cpu"> {
  // CHECK-NEXT: cp.program rank(1) layout {0 : [60, 100), 1 : [0, 5)} workspace_bytes(4096) backward_workspace_bytes(8192) saved_bytes(64) {
  cp.program rank(1) layout {0 : [60, 100), 1 : [0, 5)} head_groups(1) workspace_bytes(4096)
      backward_workspace_bytes(8192) saved_bytes(64) {
    // CHECK-NEXT: cp.attend stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    cp.attend stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    // CHECK-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 60)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 60)}
    // CHECK-NEXT: cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [60, 70) from 0, 1 : [0, 5) from 0 saved}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [60, 70) from 0, 1 : [0, 5) from 0 saved}
    // CHECK-NEXT: cp.attend stage(1) {0 : q[60, 100) kv[0, 60) heads[0, 4)}
    cp.attend stage(1) {0 : q[60, 100) kv[0, 60) heads[0, 4)}
    // CHECK-NEXT: cp.buffer remote_key stage(1) offset(0) rows(60)
    cp.buffer remote_key stage(1) offset(0) rows(60)
    // CHECK-NEXT: cp.buffer remote_value stage(1) offset(64) rows(60)
    cp.buffer remote_value stage(1) offset(64) rows(60)
    // CHECK-NEXT: cp.buffer accumulator stage(0) offset(128) rows(40)
    cp.buffer accumulator stage(0) offset(128) rows(40)
    // CHECK-NEXT: cp.buffer saved_key stage(1) offset(0) rows(5)
    cp.buffer saved_key stage(1) offset(0) rows(5)
    // CHECK-NEXT: cp.buffer remote_key_sum stage(1) offset(192) rows(60)
    cp.buffer remote_key_sum stage(1) offset(192) rows(60)
    // CHECK-NEXT: cp.buffer outgoing_key stage(1) offset(256) rows(5) places(3)
    cp.buffer outgoing_key stage(1) offset(256) rows(5) places(3)
    // CHECK-NEXT: cp.buffer incoming stage(1) relayed offset(320) rows(120)
    cp.buffer incoming stage(1) relayed offset(320) rows(120)
    // CHECK-NEXT: cp.backward {
    cp.backward {
      // CHECK-NEXT: cp.clear_gradients stage(0)
      cp.clear_gradients stage(0)
      // CHECK-NEXT: cp.clear_gradients stage(1)
      cp.clear_gradients stage(1)
      // CHECK-NEXT: cp.resend stage(1)
      cp.resend stage(1)
      // CHECK-NEXT: cp.resend stage(1) relayed
      cp.resend stage(1) relayed
      // CHECK-NEXT: cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(0) tiles[0, 1)
      // CHECK-NEXT: cp.pack_gradients stage(1) relayed
      cp.pack_gradients stage(1) relayed
      // CHECK-NEXT: cp.exchange_gradients stage(1) relayed
      cp.exchange_gradients stage(1) relayed
      // CHECK-NEXT: cp.add_gradients stage(1)
      cp.add_gradients stage(1)
      // CHECK-NEXT: cp.store_gradients
      cp.store_gradients
    }
  }
  // CHECK: cp.program rank(0) layout {} head_groups(2) {
  cp.program rank(0) layout {} head_groups(2) {
  }
}
