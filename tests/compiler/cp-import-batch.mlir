// RUN: printf '4096 7 0' > %t.txt
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.txt ranks=2 heads=4:2 head-dim=64 mask=window:16 cluster=cpu' | FileCheck %s --check-prefix=TEXT
// RUN: printf '{"documents": [5, {"length": 6, "mask": "full"}]}\n{"documents": [9]}\n' > %t.jsonl
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.jsonl' | FileCheck %s --check-prefix=LINES
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.txt scale=0.5 dtype=f16 exchange=all-gather slack=5 strategy=zigzag time-budget=7 memory-budget=2' | FileCheck %s --check-prefix=OPTIONS
// RUN: flashcp compile %t.txt --ranks 2 --strategy zigzag -o %t.plan --quiet
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.txt layout-of=%t.plan mask=full' | FileCheck %s --check-prefix=LAYOUT
// RUN: not flashcp-opt %s --cp-import-batch='lengths=%t.jsonl layout-of=%t.plan' 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not flashcp-opt %s --cp-import-batch='lengths=%t.none' 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not flashcp-opt %s --cp-import-batch='lengths=%t.txt ranks=0' 2>&1 | FileCheck %s --check-prefix=RANKS

// TEXT: cp.batch @batch0 ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed> cluster<"cpu"> {
// TEXT-NEXT: cp.document length(4096) mask(window<16>)
// TEXT-NEXT: cp.document length(7) mask(window<16>)
// TEXT-NEXT: cp.document length(0) mask(window<16>)

// OPTIONS: cp.batch @batch0 ranks(8) heads<q = 32, kv = 8, dim = 128> scale(5.000000e-01) dtype(f16) exchange<all_gather> slack_percent(5.000000e+00) cluster<"h100x8"> strategy("zigzag") time_budget_ms(7.000000e+00) memory_budget_bytes(2097152) {

// LINES: cp.batch @batch0 ranks(8) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed> cluster<"h100x8"> {
// LINES-NEXT: cp.document length(5) mask(causal)
// LINES-NEXT: cp.document length(6) mask(full)
// LINES: cp.batch @batch1
// LINES-NEXT: cp.document length(9) mask(causal)

// LAYOUT: cp.batch @batch0 ranks(2) {{.*}} strategy("layout") {
// LAYOUT-NEXT: cp.document length(4096) mask(full) layout {[0, 1026) on 0, [1026, 3078) on 1, [3078, 4096) on 0}
// LAYOUT-NEXT: cp.document length(7) mask(full) layout {[0, 7) on 0}
// LAYOUT-NEXT: cp.document length(0) mask(full) layout {}

// OTHER: error: layout-of: {{.*}}.plan: documents: expected 3 as in the plan, found 2
// MISSING: error: {{.*}}.none
// RANKS: error: ranks: expected an integer from 1 to 4096, found '0'
module {}
