// A plan file appears, whole, and only of a scheduled batch.
// RUN: rm -f %t.plan
// RUN: flashcp-opt %s --cp-compile | flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-emit-plan{output=%t.plan}))' -o /dev/null
// RUN: flashcp verify %t.plan 2>&1 | FileCheck %s
// RUN: flashcp inspect %t.plan --json | FileCheck %s --check-prefix=JSON
// RUN: flashcp-opt %s --cp-compile | not flashcp-opt --pass-pipeline='builtin.module(cp.batch(cp-emit-plan{output=/nonexistent/p}))' 2>&1 | FileCheck %s --check-prefix=NOFOLDER

// CHECK: ok
// JSON-DAG: "strategy": "zigzag"
// JSON-DAG: "scale": 0.25
// JSON-DAG: "time_budget_ms": 7.0
// JSON-DAG: "memory_budget_bytes": 4096
// JSON-DAG: "ranks": 2
// JSON-DAG: "tokens": 100
// NOFOLDER: error: {{.*}}/nonexistent/p
cp.batch @step ranks(2) heads<q = 4, kv = 2, dim = 8> scale(0.25) dtype(f32) exchange<needed>
    cluster<"h100x8"> strategy("zigzag") time_budget_ms(7.0)
    memory_budget_bytes(4096) {
  %d0 = cp.document length(100) mask(causal)
}
