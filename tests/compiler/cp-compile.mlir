// The whole pipeline, from a problem to programs with buffers.
// RUN: flashcp-opt %s --cp-compile | FileCheck %s
// RUN: flashcp-opt %s --cp-compile | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' | FileCheck %s

// CHECK-LABEL: cp.batch @step
cp.batch @step ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> strategy("contiguous") {
  // CHECK-NEXT: cp.document
  // CHECK-NEXT: cp.shard
  %d0 = cp.document length(100) mask(causal)
  // CHECK-NEXT: cp.program rank(0) layout {0 : [0, 50)} workspace_bytes(0) backward_workspace_bytes({{[0-9]+}}) saved_bytes(0) {
  // CHECK-NEXT:   cp.attend stage(0) {0 : q[0, 50) kv[0, 50) heads[0, 4)}
  // CHECK-NEXT:   cp.exchange stage(1) kv heads[0, 2) receive {}
  // CHECK-NEXT:   cp.attend stage(1) {}
  // CHECK:        cp.backward {
  // CHECK:      cp.program rank(1) layout {0 : [50, 100)} workspace_bytes(12800) backward_workspace_bytes({{[0-9]+}}) saved_bytes(0) {
  // CHECK-NEXT:   cp.attend stage(0) {0 : q[50, 100) kv[50, 100) heads[0, 4)}
  // CHECK-NEXT:   cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 50)}
  // CHECK-NEXT:   cp.attend stage(1) {0 : q[50, 100) kv[0, 50) heads[0, 4)}
  // CHECK-NEXT:   cp.buffer remote_key
  // CHECK-NEXT:   cp.buffer remote_value
  // CHECK-NEXT:   cp.buffer accumulator
  // CHECK-NEXT:   cp.buffer delta
  // CHECK:        cp.backward {
  // CHECK-NEXT:     cp.clear_gradients stage(0)
  // CHECK-NEXT:     cp.resend stage(1)
  // CHECK-NEXT:     cp.attend_backward stage(0) tiles[0, 1)
  // CHECK-NEXT:     cp.clear_gradients stage(1)
  // CHECK-NEXT:     cp.attend_backward stage(1) tiles[0, 1)
  // CHECK-NEXT:     cp.pack_gradients stage(1)
  // CHECK-NEXT:     cp.exchange_gradients stage(1)
  // CHECK-NEXT:     cp.add_gradients stage(1)
  // CHECK-NEXT:     cp.store_gradients
  // CHECK-NEXT:   }
}

// An empty batch has programs that do nothing.
// CHECK-LABEL: cp.batch @empty
cp.batch @empty ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"h100x8"> strategy("contiguous") {
  // CHECK-NEXT: cp.program rank(0) layout {} workspace_bytes(0) backward_workspace_bytes({{[0-9]+}}) saved_bytes(0) {
  // CHECK-NEXT:   cp.attend stage(0) {}
  // CHECK:        cp.backward {
  // CHECK-NEXT:     cp.clear_gradients stage(0)
  // CHECK-NEXT:     cp.store_gradients
  // CHECK-NEXT:   }
}
