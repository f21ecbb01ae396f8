// RUN: sed 's/STRATEGY/contiguous/' %s | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' | FileCheck %s --check-prefixes=CHECK,CONTIGUOUS
// RUN: sed 's/STRATEGY/zigzag/' %s | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' | FileCheck %s --check-prefixes=CHECK,ZIGZAG
// RUN: sed 's/STRATEGY/per-doc/' %s | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' | FileCheck %s --check-prefixes=CHECK,PERDOC
// RUN: sed 's/STRATEGY/whole-doc/' %s | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' | FileCheck %s --check-prefixes=CHECK,WHOLEDOC
// RUN: sed 's/STRATEGY/zigzga/' %s | not flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: error: 'cp.batch' op unknown strategy 'zigzga': did you mean 'zigzag'? (one of contiguous, zigzag, per-doc, whole-doc, flashcp-paper, auto)

// CHECK-LABEL: cp.batch @two_documents
cp.batch @two_documents ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> strategy("STRATEGY") {
  // CHECK: %[[D0:.*]] = cp.document length(80)
  %d0 = cp.document length(80) mask(causal)
  // CHECK: %[[D1:.*]] = cp.document length(80)
  %d1 = cp.document length(80) mask(causal)
  // CONTIGUOUS: %[[S0:.*]] = cp.shard %[[D0]] {[0, 80) on 0}
  // CONTIGUOUS-NEXT: cp.tiles %[[S0]] heads[0, 4) {q[0, 80) kv[0, 80) on 0}
  // CONTIGUOUS-NEXT: %[[S1:.*]] = cp.shard %[[D1]] {[0, 80) on 1}
  // CONTIGUOUS-NEXT: cp.tiles %[[S1]] heads[0, 4) {q[0, 80) kv[0, 80) on 1}
  // ZIGZAG: cp.shard %[[D0]] {[0, 40) on 0, [40, 80) on 1}
  // ZIGZAG: cp.shard %[[D1]] {[0, 40) on 1, [40, 80) on 0}
  // PERDOC: cp.shard %[[D0]] {[0, 20) on 0, [20, 60) on 1, [60, 80) on 0}
  // PERDOC-NEXT: cp.tiles %{{.*}} heads[0, 4) {q[0, 20) kv[0, 20) on 0, q[20, 60) kv[0, 60) on 1, q[60, 80) kv[0, 80) on 0}
  // PERDOC: cp.shard %[[D1]] {[0, 20) on 0, [20, 60) on 1, [60, 80) on 0}
  // WHOLEDOC: cp.shard %[[D0]] {[0, 80) on 0}
  // WHOLEDOC: cp.shard %[[D1]] {[0, 80) on 1}
}

// Tiles read the keys that the mask shows: all of them, or a window's.
// CHECK-LABEL: cp.batch @masks
cp.batch @masks ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> strategy("STRATEGY") {
  %d0 = cp.document length(80) mask(full)
  %d1 = cp.document length(80) mask(window<8>)
  %d2 = cp.document length(0) mask(causal)
  // ZIGZAG: cp.tiles %{{.*}} heads[0, 4) {q[0, 40) kv[0, 80) on 0, q[40, 80) kv[0, 80) on 1}
  // ZIGZAG: cp.tiles %{{.*}} heads[0, 4) {q[0, 40) kv[0, 40) on 1, q[40, 80) kv[33, 80) on 0}
  // CHECK: cp.shard %{{.*}} {}
}

// A layout that was asked for is taken, whatever the mask.
// CHECK-LABEL: cp.batch @layout
cp.batch @layout ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> strategy("layout") {
  %d0 = cp.document length(80) mask(window<8>) layout {[0, 30) on 1, [30, 80) on 0}
  %d1 = cp.document length(20) mask(causal) layout {[0, 20) on 1}
  %d2 = cp.document length(0) mask(causal) layout {}
  // CHECK: cp.shard %{{.*}} {[0, 30) on 1, [30, 80) on 0}
  // CHECK-NEXT: cp.tiles %{{.*}} heads[0, 4) {q[0, 30) kv[0, 30) on 1, q[30, 80) kv[23, 80) on 0}
  // CHECK-NEXT: cp.shard %{{.*}} {[0, 20) on 1}
  // CHECK: cp.shard %{{.*}} {}
}
