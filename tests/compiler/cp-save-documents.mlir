// Documents whose received rows fit the memory of every rank are saved, those of most rows first. A
// row takes 2 * 2 * 8 * 2 = 64 bytes.
// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-save-documents))' | FileCheck %s
// RUN: sed 's/ memory_budget_bytes(4096)//' %s | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-save-documents))' | FileCheck %s --check-prefix=NONE
// NONE-NOT: saved

// CHECK-LABEL: cp.batch @b
cp.batch @b ranks(3) heads<q = 4, kv = 2, dim = 8> dtype(bf16) exchange<needed>
    cluster<"h100x8"> memory_budget_bytes(4096) {
  %d0 = cp.document length(100) mask(causal)
  %d1 = cp.document length(80) mask(causal)
  %d2 = cp.document length(50) mask(causal)
  %d3 = cp.document length(30) mask(causal)
  %s0 = cp.shard %d0 {[0, 65) on 0, [65, 100) on 1}
  %s1 = cp.shard %d1 {[0, 40) on 0, [40, 80) on 1}
  %s2 = cp.shard %d2 {[0, 30) on 0, [30, 50) on 1}
  %s3 = cp.shard %d3 {[0, 24) on 0, [24, 30) on 1}
  // 65 rows go to rank 1: one too many.
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) {[0, 65) to 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 65) to 1}
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) saved {[0, 40) to 1}
  cp.transfer %s1 kv heads[0, 2) {[0, 40) to 1}
  // Rank 1 has room for 24 more rows, not for 30.
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) {[0, 30) to 1}
  cp.transfer %s2 kv heads[0, 2) {[0, 30) to 1}
  // CHECK: cp.transfer %{{.*}} kv heads[0, 2) saved {[0, 24) to 1}
  cp.transfer %s3 kv heads[0, 2) {[0, 24) to 1}
}
