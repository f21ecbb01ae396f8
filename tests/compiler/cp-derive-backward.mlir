// The backward pass mirrors the forward pass: rows travel again as places are free, gradients as soon
// as they are complete; local tiles are done where the rank would wait otherwise.
// RUN: flashcp-opt %s --split-input-file --pass-pipeline='builtin.module(cp.batch(cp-derive-backward))' -verify-diagnostics | FileCheck %s

// Transfers take longer than all tiles: all local work is done while the first rows arrive.
// CHECK-LABEL: cp.batch @stages
cp.batch @stages ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.shard %d0 {[0, 50) on 1, [50, 100) on 0}
  cp.program rank(0) layout {0 : [50, 100)} {
    cp.attend stage(0) {0 : q[50, 80) kv[50, 80) heads[0, 4), 0 : q[80, 90) kv[50, 90) heads[0, 4),
                         0 : q[90, 100) kv[50, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 7)}
    cp.attend stage(1) {0 : q[50, 100) kv[0, 7) heads[0, 4)}
    cp.exchange stage(2) kv heads[0, 2) receive {0 : [7, 50)}
    cp.attend stage(2) {0 : q[50, 100) kv[7, 50) heads[0, 4)}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.clear_gradients stage(0)
    // CHECK-NEXT:   cp.resend stage(1)
    // CHECK-NEXT:   cp.resend stage(2)
    // CHECK-NEXT:   cp.attend_backward stage(0) tiles[0, 3)
    // CHECK-NEXT:   cp.clear_gradients stage(1)
    // CHECK-NEXT:   cp.attend_backward stage(1) tiles[0, 1)
    // CHECK-NEXT:   cp.pack_gradients stage(1)
    // CHECK-NEXT:   cp.exchange_gradients stage(1)
    // CHECK-NEXT:   cp.clear_gradients stage(2)
    // CHECK-NEXT:   cp.attend_backward stage(2) tiles[0, 1)
    // CHECK-NEXT:   cp.pack_gradients stage(2)
    // CHECK-NEXT:   cp.add_gradients stage(1)
    // CHECK-NEXT:   cp.exchange_gradients stage(2)
    // CHECK-NEXT:   cp.add_gradients stage(2)
    // CHECK-NEXT:   cp.store_gradients
    // CHECK-NEXT: }
  }
}

// -----

// Rows of the second stage come long after the tiles of the first: local ones fill the wait. Launches
// have tiles of one attend.
// CHECK-LABEL: cp.batch @paced
cp.batch @paced ranks(2) heads<q = 1, kv = 1, dim = 128> dtype(bf16) exchange<needed>
    cluster<"slow", {ranks_per_node = 8 : i64, intra_node = array<f64: 256.0, 0.0>,
                     inter_node = array<f64: 256.0, 0.0>, block = array<i64: 128, 128>,
                     columns = array<i64: 128, 256>, forward_us = array<f64: 100.0, 200.0>,
                     backward_us = array<f64: 100.0, 200.0>}> {
  %d0 = cp.document length(1024) mask(causal)
  %d1 = cp.document length(128) mask(full)
  %d2 = cp.document length(128) mask(full)
  cp.shard %d0 {[0, 640) on 0, [640, 1024) on 1}
  cp.shard %d1 {[0, 128) on 1}
  cp.shard %d2 {[0, 128) on 1}
  cp.program rank(1) layout {0 : [640, 1024), 1 : [0, 128), 2 : [0, 128)} {
    cp.attend stage(0) {0 : q[640, 1024) kv[640, 1024) heads[0, 1), 1 : q[0, 128) kv[0, 128) heads[0, 1)}
    cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 256)}
    cp.attend stage(1) {0 : q[640, 1024) kv[0, 256) heads[0, 1)}
    cp.attend stage(0) {2 : q[0, 128) kv[0, 128) heads[0, 1)}
    cp.exchange stage(2) kv heads[0, 1) receive {0 : [256, 640)}
    cp.attend stage(2) {0 : q[640, 1024) kv[256, 640) heads[0, 1)}
    // CHECK:      cp.resend stage(2)
    // CHECK-NEXT: cp.attend_backward stage(0) tiles[0, 1)
    // CHECK-NEXT: cp.clear_gradients stage(1)
    // CHECK-NEXT: cp.attend_backward stage(1) tiles[0, 1)
    // CHECK-NEXT: cp.pack_gradients stage(1)
    // CHECK-NEXT: cp.exchange_gradients stage(1)
    // CHECK-NEXT: cp.attend_backward stage(0) tiles[1, 2)
    // CHECK-NEXT: cp.attend_backward stage(0) tiles[2, 3)
    // CHECK-NEXT: cp.clear_gradients stage(2)
    // CHECK-NEXT: cp.attend_backward stage(2) tiles[0, 1)
    // CHECK-NEXT: cp.pack_gradients stage(2)
    // CHECK-NEXT: cp.add_gradients stage(1)
    // CHECK-NEXT: cp.exchange_gradients stage(2)
    // CHECK-NEXT: cp.add_gradients stage(2)
  }
}

// -----

// The one local tile (1.5 ms) covers the last gradients' way (1.3 ms) rather than the first rows' way
// (0.3 ms).
// CHECK-LABEL: cp.batch @slow_return
cp.batch @slow_return ranks(2) heads<q = 1, kv = 1, dim = 128> dtype(bf16) exchange<needed>
    cluster<"slow", {ranks_per_node = 8 : i64, intra_node = array<f64: 200.0, 0.0>,
                     inter_node = array<f64: 200.0, 0.0>, block = array<i64: 128, 128>,
                     columns = array<i64: 128, 256>, forward_us = array<f64: 100.0, 200.0>,
                     backward_us = array<f64: 100.0, 200.0>}> {
  %d0 = cp.document length(1280) mask(causal)
  cp.shard %d0 {[0, 640) on 1, [640, 1280) on 0}
  cp.program rank(0) layout {0 : [640, 1280)} {
    cp.attend stage(0) {0 : q[640, 1280) kv[640, 1280) heads[0, 1)}
    cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 128)}
    cp.attend stage(1) {0 : q[640, 1280) kv[0, 128) heads[0, 1)}
    cp.exchange stage(2) kv heads[0, 1) receive {0 : [128, 640)}
    cp.attend stage(2) {0 : q[640, 1280) kv[128, 640) heads[0, 1)}
    // CHECK:        cp.resend stage(2)
    // CHECK-NEXT:   cp.clear_gradients stage(1)
    // CHECK-NEXT:   cp.attend_backward stage(1) tiles[0, 1)
    // CHECK:        cp.pack_gradients stage(2)
    // CHECK:        cp.exchange_gradients stage(2)
    // CHECK-NEXT:   cp.attend_backward stage(0) tiles[0, 1)
  }
}

// -----

// Rows of saved documents are there: remote tiles come first.
// CHECK-LABEL: cp.batch @saved
cp.batch @saved ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.shard %d0 {[0, 50) on 1, [50, 100) on 0}
  cp.program rank(0) layout {0 : [50, 100)} {
    cp.attend stage(0) {0 : q[50, 100) kv[50, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 50) saved}
    cp.attend stage(1) {0 : q[50, 100) kv[0, 50) heads[0, 4)}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.clear_gradients stage(0)
    // CHECK-NEXT:   cp.clear_gradients stage(1)
    // CHECK-NEXT:   cp.attend_backward stage(1) tiles[0, 1)
    // CHECK-NEXT:   cp.pack_gradients stage(1)
    // CHECK-NEXT:   cp.exchange_gradients stage(1)
    // CHECK-NEXT:   cp.attend_backward stage(0) tiles[0, 1)
    // CHECK-NEXT:   cp.add_gradients stage(1)
    // CHECK-NEXT:   cp.store_gradients
    // CHECK-NEXT: }
  }
}

// -----

// Nothing is remote: one launch.
// CHECK-LABEL: cp.batch @local
cp.batch @local ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.shard %d0 {[0, 100) on 0}
  cp.program rank(0) layout {0 : [0, 100)} {
    cp.attend stage(0) {0 : q[0, 50) kv[0, 50) heads[0, 4), 0 : q[50, 100) kv[0, 100) heads[0, 4)}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.clear_gradients stage(0)
    // CHECK-NEXT:   cp.attend_backward stage(0) tiles[0, 2)
    // CHECK-NEXT:   cp.store_gradients
    // CHECK-NEXT: }
  }
}

// -----

// What a relay forwarded comes back to it first; it adds that to what it returns, a stage later.
// CHECK-LABEL: cp.batch @relayed
cp.batch @relayed ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(0) mask(causal)
  cp.program rank(0) layout {} {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.exchange stage(2) kv heads[0, 2) receive {}
    cp.exchange stage(2) relayed kv heads[0, 2) receive {}
    cp.attend stage(2) {}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.clear_gradients stage(0)
    // CHECK-NEXT:   cp.clear_gradients stage(1)
    // CHECK-NEXT:   cp.pack_gradients stage(1) relayed
    // CHECK-NEXT:   cp.exchange_gradients stage(1) relayed
    // CHECK-NEXT:   cp.clear_gradients stage(2)
    // CHECK-NEXT:   cp.pack_gradients stage(2) relayed
    // CHECK-NEXT:   cp.add_gradients stage(1) relayed
    // CHECK-NEXT:   cp.exchange_gradients stage(2) relayed
    // CHECK-NEXT:   cp.pack_gradients stage(1)
    // CHECK-NEXT:   cp.exchange_gradients stage(1)
    // CHECK-NEXT:   cp.add_gradients stage(2) relayed
    // CHECK-NEXT:   cp.pack_gradients stage(2)
    // CHECK-NEXT:   cp.add_gradients stage(1)
    // CHECK-NEXT:   cp.exchange_gradients stage(2)
    // CHECK-NEXT:   cp.add_gradients stage(2)
    // CHECK-NEXT:   cp.store_gradients
    // CHECK-NEXT: }
  }
}

// -----

// Four stages take turns in three places: three are re-sent at once, the last when the gradients of
// stage 1 are on their way.
// CHECK-LABEL: cp.batch @turns
cp.batch @turns ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.shard %d0 {[0, 50) on 1, [50, 100) on 0}
  cp.program rank(0) layout {0 : [50, 100)} head_groups(2) {
    cp.attend stage(0) {0 : q[50, 100) kv[50, 100) heads[0, 2)}
    cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 10)}
    cp.attend stage(1) {0 : q[50, 100) kv[0, 10) heads[0, 2)}
    cp.exchange stage(2) kv heads[0, 1) receive {0 : [10, 20)}
    cp.attend stage(2) {0 : q[50, 100) kv[10, 20) heads[0, 2)}
    cp.exchange stage(3) kv heads[0, 1) receive {0 : [20, 30)}
    cp.attend stage(3) {0 : q[50, 100) kv[20, 30) heads[0, 2)}
    cp.exchange stage(4) kv heads[0, 1) receive {0 : [30, 50)}
    cp.attend stage(4) {0 : q[50, 100) kv[30, 50) heads[0, 2)}
    // CHECK:      cp.resend stage(3)
    // CHECK-NOT:  cp.resend
    // CHECK:      cp.exchange_gradients stage(1)
    // CHECK-NEXT: cp.resend stage(4)
  }
}

// -----

// The order follows the model of a placement.
// expected-error @+1 {{C23: placement of document 0}}
cp.batch @unplaced ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.program rank(0) layout {} {}
  cp.program rank(1) layout {} {}
}
