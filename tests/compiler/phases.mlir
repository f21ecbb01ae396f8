// Each pass asks for its phase, and says what to run first or what has run already.
// RUN: split-file %s %t
// RUN: not flashcp-opt %t/problem.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers))' 2>&1 | FileCheck %s --check-prefix=INSERT
// RUN: not flashcp-opt %t/problem.mlir --pass-pipeline='builtin.module(cp.batch(cp-coalesce-transfers))' 2>&1 | FileCheck %s --check-prefix=COALESCE
// RUN: not flashcp-opt %t/problem.mlir --pass-pipeline='builtin.module(cp.batch(cp-allocate-buffers))' 2>&1 | FileCheck %s --check-prefix=ALLOCATE
// RUN: not flashcp-opt %t/problem.mlir --pass-pipeline='builtin.module(cp.batch(cp-emit-plan{output=%t/p}))' 2>&1 | FileCheck %s --check-prefix=EMIT
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-place-documents))' 2>&1 | FileCheck %s --check-prefix=PLACE
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-relay-transfers))' 2>&1 | FileCheck %s --check-prefix=RELAY
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-save-documents))' 2>&1 | FileCheck %s --check-prefix=SAVE
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages))' 2>&1 | FileCheck %s --check-prefix=SCHEDULE
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-derive-backward))' 2>&1 | FileCheck %s --check-prefix=DERIVE
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers,cp-insert-transfers))' 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers,cp-schedule-stages,cp-emit-plan{output=%t/p}))' 2>&1 | FileCheck %s --check-prefix=EARLY
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers,cp-schedule-stages,cp-allocate-buffers,cp-allocate-buffers))' 2>&1 | FileCheck %s --check-prefix=BUFFERS
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers,cp-schedule-stages,cp-derive-backward,cp-derive-backward))' 2>&1 | FileCheck %s --check-prefix=BACKWARD
// RUN: not flashcp-opt %t/placed.mlir --pass-pipeline='builtin.module(cp.batch(cp-insert-transfers,cp-schedule-stages,cp-allocate-buffers,cp-derive-backward,cp-place-documents))' 2>&1 | FileCheck %s --check-prefix=LATE
// RUN: not ls %t/p

// INSERT: error: 'cp.batch' op is in phase problem, and cp-insert-transfers takes phase placed: run cp-place-documents first
// COALESCE: error: 'cp.batch' op is in phase problem, and cp-coalesce-transfers takes phase communicating: run cp-place-documents first
// ALLOCATE: error: 'cp.batch' op is in phase problem, and cp-allocate-buffers takes phase scheduled: run cp-place-documents first
// EMIT: error: 'cp.batch' op is in phase problem, and cp-emit-plan takes phase scheduled with buffers and a backward pass: run cp-place-documents first
// PLACE: error: 'cp.batch' op is in phase placed, and cp-place-documents takes phase problem: run it before cp-place-documents
// RELAY: error: 'cp.batch' op is in phase placed, and cp-relay-transfers takes phase communicating: run cp-insert-transfers first
// SAVE: error: 'cp.batch' op is in phase placed, and cp-save-documents takes phase communicating: run cp-insert-transfers first
// SCHEDULE: error: 'cp.batch' op is in phase placed, and cp-schedule-stages takes phase communicating: run cp-insert-transfers first
// DERIVE: error: 'cp.batch' op is in phase placed, and cp-derive-backward takes phase scheduled: run cp-insert-transfers first
// TWICE: error: 'cp.batch' op is in phase communicating, and cp-insert-transfers takes phase placed: run it before cp-insert-transfers
// EARLY: error: 'cp.batch' op is in phase scheduled, and cp-emit-plan takes phase scheduled with buffers and a backward pass: run cp-allocate-buffers and cp-derive-backward first
// BUFFERS: error: 'cp.program' op has buffers already
// BACKWARD: error: 'cp.program' op has a backward pass already
// LATE: error: 'cp.batch' op is in phase scheduled with buffers and a backward pass, and cp-place-documents takes phase problem: run it before cp-place-documents

// Options without which a pass has nothing to do.
// RUN: not flashcp-opt %t/local.mlir --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages,cp-allocate-buffers,cp-derive-backward,cp-emit-plan))' 2>&1 | FileCheck %s --check-prefix=OUTPUT
// RUN: echo 'module {}' | not flashcp-opt --cp-import-batch 2>&1 | FileCheck %s --check-prefix=LENGTHS
// OUTPUT: error: 'cp.batch' op has nowhere to go: option output of cp-emit-plan names no file
// LENGTHS: error: option lengths of cp-import-batch names no file

//--- problem.mlir
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
}

//--- placed.mlir
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 50) on 0, [50, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 50) kv[0, 50) on 0, q[50, 100) kv[0, 100) on 1}
}

//--- local.mlir
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 100) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 100) kv[0, 100) on 0}
}
