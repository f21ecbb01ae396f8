// Each constraint between ops broken once; the numbers are those of docs/dialect.md.
// RUN: split-file %s %t
// RUN: not flashcp-opt %t/c20.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=problem}))' 2>&1 | FileCheck %s --check-prefix=ERR-C20
// RUN: not flashcp-opt %t/c20-cluster.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=problem}))' 2>&1 | FileCheck %s --check-prefix=ERR-C20CLUSTER
// RUN: not flashcp-opt %t/c20-strategy.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=problem}))' 2>&1 | FileCheck %s --check-prefix=ERR-C20STRATEGY
// RUN: not flashcp-opt %t/c20.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=final}))' 2>&1 | FileCheck %s --check-prefix=PHASE
// RUN: not flashcp-opt %t/c21.mlir --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages))' 2>&1 | FileCheck %s --check-prefix=ERR-C21
// RUN: not flashcp-opt %t/c22.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C22
// RUN: not flashcp-opt %t/c22-order.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C22ORDER
// RUN: not flashcp-opt %t/c23.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C23
// RUN: not flashcp-opt %t/c24.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=communicating}))' 2>&1 | FileCheck %s --check-prefix=ERR-C24
// RUN: not flashcp-opt %t/c24-queries.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=communicating}))' 2>&1 | FileCheck %s --check-prefix=ERR-C24QUERIES
// RUN: not flashcp-opt %t/c25-missing.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C25MISSING
// RUN: not flashcp-opt %t/c25-twice.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C25TWICE
// RUN: not flashcp-opt %t/c25-heads.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))' 2>&1 | FileCheck %s --check-prefix=ERR-C25HEADS
// RUN: not flashcp-opt %t/c26.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C26
// RUN: not flashcp-opt %t/c27.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C27
// RUN: not flashcp-opt %t/c28.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C28
// RUN: not flashcp-opt %t/c28-stage.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C28STAGE
// RUN: not flashcp-opt %t/c28-received.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C28RECEIVED
// RUN: not flashcp-opt %t/c29-holds.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C29HOLDS
// RUN: not flashcp-opt %t/c29.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C29
// RUN: not flashcp-opt %t/c28-forward.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C28FORWARD
// RUN: not flashcp-opt %t/c28-heads.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C28HEADS
// RUN: not flashcp-opt %t/c31-node.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=communicating}))' 2>&1 | FileCheck %s --check-prefix=ERR-C31NODE
// RUN: not flashcp-opt %t/c31.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=communicating}))' 2>&1 | FileCheck %s --check-prefix=ERR-C31
// RUN: not flashcp-opt %t/c32.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C32
// RUN: not flashcp-opt %t/c32-same.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C32SAME
// RUN: not flashcp-opt %t/c33.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C33
// RUN: not flashcp-opt %t/c33-none.mlir --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))' 2>&1 | FileCheck %s --check-prefix=ERR-C33NONE

//--- c20.mlir
// PHASE: error: 'cp.batch' op phase must be problem, placed, communicating or scheduled, found 'final'
// ERR-C20: error: 'cp.shard' op C20: does not belong in phase problem
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
}

//--- c20-cluster.mlir
// ERR-C20CLUSTER: error: 'cp.batch' op {{.*}}'h100x9': did you mean 'h100x8'?
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"h100x9"> {
}

//--- c20-strategy.mlir
// ERR-C20STRATEGY: error: 'cp.batch' op unknown strategy 'zigzga': did you mean 'zigzag'?
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> strategy("zigzga") {
}

//--- c21.mlir
// ERR-C21: error: 'cp.transfer' op C21: stages move all 2 key/value heads of a row, found [0, 1)
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  cp.transfer %s0 kv heads[0, 1) {[0, 5) to 1}
}

//--- c22.mlir
// ERR-C22: error: 'cp.document' op C22: has no cp.shard
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
}

//--- c22-order.mlir
// ERR-C22ORDER: error: 'cp.shard' op C22: each document needs one shard, in the order of the documents; this one is not that of document 0
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %d1 = cp.document length(10) mask(causal)
  %s1 = cp.shard %d1 {[0, 10) on 0}
  %s0 = cp.shard %d0 {[0, 10) on 0}
}

//--- c23.mlir
// ERR-C23: error: 'cp.batch' op C23: {{.*}}rank 0
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 7) on 0, [7, 10) on 1}
}

//--- c24.mlir
// ERR-C24: error: 'cp.tiles' op C24: rank 1 reads key 3, which it neither owns nor receives
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[0, 10) on 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 3) to 1, [4, 5) to 1}
}

//--- c24-queries.mlir
// ERR-C24QUERIES: error: 'cp.tiles' op C24: rank 0 computes queries [5, 10) but does not own them
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[0, 10) on 0}
  cp.transfer %s0 kv heads[0, 2) {[5, 10) to 0}
}

//--- c25-missing.mlir
// ERR-C25MISSING: error: 'cp.document' op C25: tiles compute 50 of 55 pairs for heads [0, 4)
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[1, 10) on 0}
}

//--- c25-twice.mlir
// ERR-C25TWICE: error: 'cp.document' op C25: tiles q[5, 10) kv[4, 10) and q[0, 6) kv[0, 6) overlap for heads [0, 4)
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 6) kv[0, 6) on 0, q[5, 10) kv[4, 10) on 0}
}

//--- c25-heads.mlir
// ERR-C25HEADS: error: 'cp.document' op C25: tiles compute 0 of 55 pairs for heads [2, 4)
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 2) {q[0, 10) kv[0, 10) on 0}
}

//--- c26.mlir
// ERR-C26: error: 'cp.batch' op C26: rank 0 has no program
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
}

//--- c27.mlir
// ERR-C27: error: 'cp.program' op C27: layout must list the ranges that the shards give to rank 0, in order
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 9)} workspace_bytes(0) {
  }
}

//--- c28.mlir
// ERR-C28: error: 'cp.attend' op C28: tile q[0, 10) kv[0, 10) of document 1 reads rows that stage 0 does not hold
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {1 : q[0, 10) kv[0, 10) heads[0, 4)}
  }
}

//--- c28-stage.mlir
// ERR-C28STAGE: error: 'cp.attend' op C28: expected compute of stage 0 right after its exchange
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(1) {}
  }
}

//--- c28-received.mlir
// ERR-C28RECEIVED: error: 'cp.exchange' op C28: received ranges must lie in the documents, in order, found [0, 11) of document 0
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 11)}
  }
}

//--- c29-holds.mlir
// ERR-C29HOLDS: error: 'cp.buffer' op C29: must hold what its stage receives
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.buffer accumulator stage(0) offset(0) holds {0 : [0, 10)}
  }
}

//--- c29.mlir
// ERR-C29: error: 'cp.program' op C29: needs buffers: run cp-allocate-buffers
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.attend stage(0) {}
  }
}

//--- c28-forward.mlir
// ERR-C28FORWARD: error: 'cp.relay' op C28: expected right after the exchange of its stage
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.relay stage(2) kv heads[0, 2) receive {}
  }
}

//--- c31-node.mlir
// ERR-C31NODE: error: 'cp.shard' op C31: rank 1 must be on the node of rank 2 and receive [0, 10) from its owners to forward it
cp.batch @b ranks(4) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(40) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0, [10, 20) on 1, [20, 30) on 2, [30, 40) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 10) kv[0, 10) on 0, q[10, 20) kv[0, 20) on 1,
                             q[20, 30) kv[0, 30) on 2, q[30, 40) kv[0, 40) on 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 10) to 1, [0, 10) to 2 via 1, [10, 20) to 2, [0, 30) to 3}
}

//--- c31.mlir
// ERR-C31: error: 'cp.shard' op C31: rank 2 must be on the node of rank 3 and receive [5, 25) from its owners to forward it
cp.batch @b ranks(4) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(40) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0, [10, 20) on 1, [20, 30) on 2, [30, 40) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 10) kv[0, 10) on 0, q[10, 20) kv[0, 20) on 1,
                             q[20, 30) kv[0, 30) on 2, q[30, 40) kv[0, 40) on 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 10) to 1, [0, 20) to 2, [0, 5) to 3,
                                  [5, 25) to 3 via 2, [25, 30) to 3}
}

//--- c32.mlir
// ERR-C32: error: 'cp.relay' op C32: rank 0 does not receive [0, 5) of document 0 in the exchange of stage 1
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  cp.program rank(0) layout {0 : [0, 5)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.relay stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
    }
  }
  cp.program rank(1) layout {0 : [5, 10)} workspace_bytes(2048) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[5, 10) kv[5, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.relay stage(1) kv heads[0, 2) receive {0 : [0, 5) from 0}
    cp.attend stage(1) {0 : q[5, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) holds {0 : [0, 5)}
    cp.buffer remote_value stage(1) offset(512) holds {0 : [0, 5)}
    cp.buffer accumulator stage(0) offset(1024) holds {0 : [5, 10)}
    cp.backward {
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
    }
  }
}

//--- c32-same.mlir
// ERR-C32SAME: error: 'cp.program' op C32: must have the exchanges and forwards of rank 0
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.relay stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
    }
  }
  cp.program rank(1) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
    }
  }
}

//--- c33.mlir
// ERR-C33: error: 'cp.program' op C33: all tiles of the stage are differentiated, found otherwise in stage 0
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.backward {
    }
  }
}

//--- c33-none.mlir
// ERR-C33NONE: error: 'cp.program' op C33: has one backward pass, found 0: run cp-derive-backward
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
  }
}

//--- c28-heads.mlir
// ERR-C28HEADS: error: 'cp.exchange' op C28: expected head 0, or the heads after those of the exchange before and its rows, found head 1
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[1, 2) receive {}
    cp.attend stage(1) {}
  }
}
