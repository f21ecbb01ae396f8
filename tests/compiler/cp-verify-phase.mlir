// Each constraint between ops broken once; the numbers are those of docs/dialect.md.
// RUN: split-file %s %t
// RUN: flashcp-opt %t/problem.mlir --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=problem}))'
// RUN: flashcp-opt %t/placed.mlir --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=placed}))'
// RUN: flashcp-opt %t/communicating.mlir --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=communicating}))'
// RUN: flashcp-opt %t/scheduled.mlir --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=scheduled}))'
// RUN: flashcp-opt %t/transfers.mlir --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages))'
// RUN: flashcp-opt %t/phase.mlir --verify-diagnostics --pass-pipeline='builtin.module(cp.batch(cp-verify-phase{phase=final}))'

//--- phase.mlir
// expected-error @+1 {{phase must be problem, placed, communicating or scheduled, found 'final'}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
}

//--- transfers.mlir
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  // expected-error @+1 {{C21: stages move all 2 key/value heads of a row, found [0, 1)}}
  cp.transfer %s0 kv heads[0, 1) {[0, 5) to 1}
}

//--- problem.mlir
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  // expected-error @+1 {{'cp.shard' op C20: does not belong in phase problem}}
  %s0 = cp.shard %d0 {[0, 10) on 0}
}

// -----

// expected-error @+1 {{strategy is layout and no layout is given: must be layout exactly if there is one}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> strategy("layout") {
  %d0 = cp.document length(10) mask(causal)
}

// -----

// expected-error @+1 {{layout: placement of document 0: segments end at 0: must end at its length, 10}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> strategy("layout") {
  %d0 = cp.document length(10) mask(causal)
  %d1 = cp.document length(10) mask(causal) layout {[0, 10) on 0}
}

// -----

// expected-error @+1 {{'h100x9': did you mean 'h100x8'?}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"h100x9"> {
}

// -----

// expected-error @+1 {{unknown strategy 'zigzga': did you mean 'zigzag'?}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> strategy("zigzga") {
}

//--- placed.mlir
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C22: has no cp.shard}}
  %d0 = cp.document length(10) mask(causal)
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  // expected-note @+1 {{it is that of this document}}
  %d1 = cp.document length(10) mask(causal)
  // expected-error @+1 {{C22: each document needs one shard, in the order of the documents; this one is not that of document 0}}
  %s1 = cp.shard %d1 {[0, 10) on 0}
  %s0 = cp.shard %d0 {[0, 10) on 0}
}

// -----

// expected-error @+1 {{C23: placement gives rank 0 7 tokens: must be from 5 to 5}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 7) on 0, [7, 10) on 1}
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C25: tiles compute 50 of 55 pairs for heads [0, 4)}}
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[1, 10) on 0}
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C25: tiles q[5, 10) kv[4, 10) and q[0, 6) kv[0, 6) overlap for heads [0, 4)}}
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 6) kv[0, 6) on 0, q[5, 10) kv[4, 10) on 0}
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C25: tiles compute 0 of 55 pairs for heads [2, 4)}}
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.tiles %s0 heads[0, 2) {q[0, 10) kv[0, 10) on 0}
}

//--- communicating.mlir
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  // expected-note @+1 {{the owners are listed here}}
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  // expected-error @+1 {{C24: rank 1 reads key 3, which it neither owns nor receives}}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[0, 10) on 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 3) to 1, [4, 5) to 1}
}

// -----

cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  // expected-note @+1 {{the owners are listed here}}
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  // expected-error @+1 {{C24: rank 0 computes queries [5, 10) but does not own them}}
  cp.tiles %s0 heads[0, 4) {q[0, 5) kv[0, 5) on 0, q[5, 10) kv[0, 10) on 0}
  cp.transfer %s0 kv heads[0, 2) {[5, 10) to 0}
}

// -----

cp.batch @b ranks(4) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(40) mask(causal)
  // expected-error @+1 {{C31: rank 1 must be on the node of rank 2 and receive [0, 10) from its owners to send it on}}
  %s0 = cp.shard %d0 {[0, 10) on 0, [10, 20) on 1, [20, 30) on 2, [30, 40) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 10) kv[0, 10) on 0, q[10, 20) kv[0, 20) on 1,
                             q[20, 30) kv[0, 30) on 2, q[30, 40) kv[0, 40) on 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 10) to 1, [0, 10) to 2 via 1, [10, 20) to 2, [0, 30) to 3}
}

// -----

cp.batch @b ranks(4) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(40) mask(causal)
  // expected-error @+1 {{C31: rank 2 must be on the node of rank 3 and receive [5, 25) from its owners to send it on}}
  %s0 = cp.shard %d0 {[0, 10) on 0, [10, 20) on 1, [20, 30) on 2, [30, 40) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 10) kv[0, 10) on 0, q[10, 20) kv[0, 20) on 1,
                             q[20, 30) kv[0, 30) on 2, q[30, 40) kv[0, 40) on 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 10) to 1, [0, 20) to 2, [0, 5) to 3,
                                  [5, 25) to 3 via 2, [25, 30) to 3}
}

//--- scheduled.mlir
// expected-error @+1 {{C26: rank 0 has no program}}
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C26: expected the program of rank 0}}
  cp.program rank(1) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.store_gradients
    }
  }
  cp.program rank(0) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  // expected-error @+1 {{C27: layout must list the ranges that the shards give to rank 0, in order}}
  cp.program rank(0) layout {0 : [0, 9)} workspace_bytes(0) {
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    // expected-error @+1 {{C28: tile q[0, 10) kv[0, 10) of document 1 reads rows that stage 0 does not hold}}
    cp.attend stage(0) {1 : q[0, 10) kv[0, 10) heads[0, 4)}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    // expected-error @+1 {{C28: expected attend of stage 0 right after its exchange}}
    cp.attend stage(1) {}
  }
}

// -----

// Local tiles may come again behind a stage, but not between its exchange and its attend.
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    // expected-error @+1 {{C28: expected attend of stage 1 right after its exchange}}
    cp.attend stage(0) {0 : q[5, 10) kv[0, 10) heads[0, 4)}
    cp.attend stage(1) {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(0) {}
    // expected-error @+1 {{C28: expected exchange of stage 1}}
    cp.exchange stage(2) kv heads[0, 2) receive {}
    cp.attend stage(2) {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {}
    // expected-error @+1 {{C28: received ranges must lie in the documents, in order, found [0, 11) of document 0}}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 11)}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {}
    // expected-error @+1 {{C28: received ranges must lie in the documents, in order, found [0, 2) of document 0}}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [5, 7), 0 : [0, 2)}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    // expected-error @+1 {{C28: expected right after the exchange of its stage}}
    cp.exchange stage(2) relayed kv heads[0, 2) receive {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} workspace_bytes(0) {
    cp.attend stage(0) {}
    // expected-error @+1 {{C28: expected heads [0, 2) of a group, found [1, 2)}}
    cp.exchange stage(1) kv heads[1, 2) receive {}
    cp.attend stage(1) {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} head_groups(2) workspace_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 1) receive {}
    // expected-error @+1 {{C28: expected heads [0, 1) of a group, found [0, 2)}}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    // expected-error @+1 {{C29: must hold the rows that its stage receives or, as the accumulator, the queries of more than one tile}}
    cp.buffer accumulator stage(0) offset(0) rows(10)
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C29: needs buffers: run cp-allocate-buffers}}
  cp.program rank(0) layout {} {
    cp.attend stage(0) {}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    // expected-note @+1 {{the other buffer is here}}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    // expected-error @+1 {{C29: must not begin where another buffer does}}
    cp.buffer remote_value stage(1) offset(0) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    // expected-error @+1 {{C29: must hold the rows that its stage receives}}
    cp.buffer remote_value stage(7) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 5) on 0, [5, 10) on 1}
  cp.program rank(0) layout {0 : [0, 5)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 4)}
    // expected-note @+1 {{the exchange of rank 0 is here}}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.pack_gradients stage(1) relayed
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
  cp.program rank(1) layout {0 : [5, 10)} workspace_bytes(2048) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[5, 10) kv[5, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    // expected-error @+1 {{C32: rank 0 does not receive [0, 5) of document 0 in the exchange of stage 1}}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [0, 5) from 0}
    cp.attend stage(1) {0 : q[5, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(512) rows(5)
    cp.buffer accumulator stage(0) offset(1024) rows(5)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1) relayed
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-note @+1 {{the program of rank 0 is here}}
  cp.program rank(0) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.pack_gradients stage(1) relayed
      cp.exchange_gradients stage(1) relayed
      cp.add_gradients stage(1) relayed
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
  // expected-error @+1 {{C32: must have the exchanges and head groups of rank 0}}
  cp.program rank(1) layout {} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    // expected-error @+1 {{C33: must begin with cp.clear_gradients of stage 0 and end with cp.store_gradients}}
    cp.backward {
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    // expected-error @+1 {{C33: must begin with cp.clear_gradients of stage 0 and end with cp.store_gradients}}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-note @+1 {{the other op is here}}
      cp.clear_gradients stage(1)
      // expected-error @+1 {{C33: sums are cleared once}}
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-error @+1 {{C33: the stage has no cp.attend}}
      cp.clear_gradients stage(2)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.resend stage(1)
      // expected-error @+1 {{C33: sums must be cleared before tiles add to them}}
      cp.attend_backward stage(1) tiles[0, 1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-error @+1 {{C33: sums must be cleared before they are packed}}
      cp.pack_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      // expected-error @+1 {{C33: must come once}}
      cp.store_gradients
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      // expected-error @+1 {{C33: the program has no such exchange}}
      cp.resend stage(2)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      // expected-error @+1 {{C33: the program has no such exchange}}
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-error @+1 {{C33: does not belong in a backward pass}}
      %x = builtin.unrealized_conversion_cast to !cp.document
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.resend stage(1)
      // expected-error @+1 {{C33: the stage has no cp.attend}}
      cp.attend_backward stage(2) tiles[0, 1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      // expected-error @+1 {{C33: rows must be re-sent before tiles read them}}
      cp.attend_backward stage(1) tiles[0, 1)
      cp.resend stage(1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      // expected-note @+1 {{the other op is here}}
      cp.pack_gradients stage(1)
      // expected-error @+1 {{C33: tiles must come before their gradients are packed}}
      cp.attend_backward stage(1) tiles[0, 1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

// Stage 0 has two attends: a launch takes tiles of one.
cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.attend stage(0) {0 : q[5, 8) kv[0, 8) heads[0, 4), 0 : q[8, 10) kv[0, 10) heads[0, 4)}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.attend_backward stage(0) tiles[1, 2)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(0) tiles[2, 3)
      cp.clear_gradients stage(1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {}
    cp.attend stage(1) {}
    cp.attend stage(0) {0 : q[5, 8) kv[0, 8) heads[0, 4), 0 : q[8, 10) kv[0, 10) heads[0, 4)}
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-error @+1 {{C33: a launch must have tiles of one cp.attend, expected them to end at 1}}
      cp.attend_backward stage(0) tiles[0, 2)
      cp.attend_backward stage(0) tiles[2, 3)
      cp.clear_gradients stage(1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      // expected-error @+1 {{C33: a launch must have tiles}}
      cp.attend_backward stage(0) tiles[0, 0)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      // expected-note @+1 {{the other op is here}}
      cp.resend stage(1)
      // expected-error @+1 {{C33: rows are re-sent once}}
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      // expected-error @+1 {{C33: relays must have rows before they send them on}}
      cp.resend stage(1) relayed
      cp.resend stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      // expected-note @+1 {{the other op is here}}
      cp.pack_gradients stage(1)
      // expected-error @+1 {{C33: gradients are packed once}}
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.resend stage(1) relayed
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      // expected-error @+1 {{C33: relays must add gradients before they pack them}}
      cp.pack_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      // expected-note @+1 {{the other op is here}}
      cp.exchange_gradients stage(1)
      // expected-error @+1 {{C33: gradients are exchanged once}}
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      // expected-error @+1 {{C33: gradients must be packed before they are exchanged}}
      cp.exchange_gradients stage(1)
      cp.pack_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      // expected-note @+1 {{the other op is here}}
      cp.add_gradients stage(1)
      // expected-error @+1 {{C33: gradients are added once}}
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      // expected-error @+1 {{C33: gradients must be exchanged before they are added}}
      cp.add_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      // expected-error @+1 {{C33: each tile of the stage must come once, expected one from 1 on}}
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    // expected-error @+1 {{C33: must have all 1 tiles of stage 0, found 0}}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    // expected-error @+1 {{C33: must add the gradients of stage 1}}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.store_gradients
    }
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  // expected-error @+1 {{C33: has no backward pass: run cp-derive-backward}}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
  }
}

// -----

cp.batch @b ranks(1) heads<q = 4, kv = 2, dim = 8> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(10) mask(causal)
  %s0 = cp.shard %d0 {[0, 10) on 0}
  cp.program rank(0) layout {0 : [0, 10)} workspace_bytes(0) backward_workspace_bytes(0) saved_bytes(0) {
    cp.attend stage(0) {0 : q[0, 10) kv[0, 10) heads[0, 4)}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5)}
    cp.attend stage(1) {0 : q[0, 10) kv[0, 5) heads[0, 4)}
    cp.buffer remote_key stage(1) offset(0) rows(5)
    cp.buffer remote_value stage(1) offset(1024) rows(5)
    cp.buffer accumulator stage(0) offset(2048) rows(10)
    // expected-note @+1 {{the other op is here}}
    cp.backward {
      cp.clear_gradients stage(0)
      cp.clear_gradients stage(1)
      cp.resend stage(1)
      cp.attend_backward stage(0) tiles[0, 1)
      cp.attend_backward stage(1) tiles[0, 1)
      cp.pack_gradients stage(1)
      cp.exchange_gradients stage(1)
      cp.add_gradients stage(1)
      cp.store_gradients
    }
    // expected-error @+1 {{C33: a program has one backward pass}}
    cp.backward {
    }
  }
}
