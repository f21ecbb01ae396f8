// The backward pass mirrors the forward pass: rows travel again at once, gradients as soon as they
// are complete; local tiles are done half before and half after the remote ones.
// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-derive-backward))' | FileCheck %s

// CHECK-LABEL: cp.batch @stages
cp.batch @stages ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.program rank(0) layout {0 : [60, 100)} {
    cp.compute stage(0) {0 : q[60, 70) kv[60, 70) heads[0, 4), 0 : q[70, 80) kv[60, 80) heads[0, 4),
                         0 : q[80, 100) kv[60, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 7)}
    cp.compute stage(1) {0 : q[60, 100) kv[0, 7) heads[0, 4)}
    cp.exchange stage(2) kv heads[0, 2) receive {0 : [7, 60)}
    cp.compute stage(2) {0 : q[60, 100) kv[7, 60) heads[0, 4)}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.resend stage(1)
    // CHECK-NEXT:   cp.resend stage(2)
    // CHECK-NEXT:   cp.differentiate stage(0) tiles[0, 3)
    // CHECK-NEXT:   cp.differentiate stage(1) tiles[0, 1)
    // CHECK-NEXT:   cp.return stage(1)
    // CHECK-NEXT:   cp.differentiate stage(2) tiles[0, 1)
    // CHECK-NEXT:   cp.return stage(2)
    // CHECK-NEXT:   cp.collect stage(1)
    // CHECK-NEXT:   cp.collect stage(2)
    // CHECK-NEXT: }
  }
}

// Rows of kept documents are there: remote tiles come first.
// CHECK-LABEL: cp.batch @kept
cp.batch @kept ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal) kept
  cp.program rank(0) layout {0 : [60, 100)} {
    cp.compute stage(0) {0 : q[60, 100) kv[60, 100) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 60)}
    cp.compute stage(1) {0 : q[60, 100) kv[0, 60) heads[0, 4)}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.differentiate stage(1) tiles[0, 1)
    // CHECK-NEXT:   cp.return stage(1)
    // CHECK-NEXT:   cp.differentiate stage(0) tiles[0, 1)
    // CHECK-NEXT:   cp.collect stage(1)
    // CHECK-NEXT: }
  }
}

// What a relay forwarded comes back to it first; it adds that to what it returns, a stage later.
// CHECK-LABEL: cp.batch @relayed
cp.batch @relayed ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  cp.program rank(0) layout {} {
    cp.compute stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.forward stage(1) kv heads[0, 2) receive {}
    cp.compute stage(1) {}
    cp.exchange stage(2) kv heads[0, 2) receive {}
    cp.forward stage(2) kv heads[0, 2) receive {}
    cp.compute stage(2) {}
    // CHECK:      cp.backward {
    // CHECK-NEXT:   cp.resend stage(1)
    // CHECK-NEXT:   cp.resend stage(1) relayed
    // CHECK-NEXT:   cp.resend stage(2)
    // CHECK-NEXT:   cp.resend stage(2) relayed
    // CHECK-NEXT:   cp.return stage(1) relayed
    // CHECK-NEXT:   cp.return stage(2) relayed
    // CHECK-NEXT:   cp.collect stage(1) relayed
    // CHECK-NEXT:   cp.return stage(1)
    // CHECK-NEXT:   cp.collect stage(2) relayed
    // CHECK-NEXT:   cp.return stage(2)
    // CHECK-NEXT:   cp.collect stage(1)
    // CHECK-NEXT:   cp.collect stage(2)
    // CHECK-NEXT: }
  }
}
