// RUN: printf '4096 7 0' > %t.txt
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.txt ranks=2 query-heads=4 kv-heads=2 head-dim=64 mask=window:16 cluster=cpu' | FileCheck %s --check-prefix=TEXT
// RUN: printf '{"documents": [5, {"length": 6, "mask": "full"}]}\n{"documents": [9]}\n' > %t.jsonl
// RUN: flashcp-opt %s --cp-import-batch='lengths=%t.jsonl' | FileCheck %s --check-prefix=LINES
// RUN: not flashcp-opt %s --cp-import-batch='lengths=%t.none' 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not flashcp-opt %s --cp-import-batch='lengths=%t.txt ranks=0' 2>&1 | FileCheck %s --check-prefix=RANKS

// TEXT: cp.batch @batch0 ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed> cluster<"cpu"> {
// TEXT-NEXT: cp.document length(4096) mask(window<16>)
// TEXT-NEXT: cp.document length(7) mask(window<16>)
// TEXT-NEXT: cp.document length(0) mask(window<16>)

// LINES: cp.batch @batch0 ranks(8) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed> cluster<"h100x8"> {
// LINES-NEXT: cp.document length(5) mask(causal)
// LINES-NEXT: cp.document length(6) mask(full)
// LINES: cp.batch @batch1
// LINES-NEXT: cp.document length(9) mask(causal)

// MISSING: error: {{.*}}.none
// RANKS: error: {{.*}}ranks
module {}
