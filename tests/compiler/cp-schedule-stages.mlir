// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages{stages=1}))' | FileCheck %s --check-prefixes=CHECK,ONE
// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages{stages=2}))' | FileCheck %s --check-prefixes=CHECK,TWO
// RUN: flashcp-opt %s --pass-pipeline='builtin.module(cp.batch(cp-schedule-stages))' | FileCheck %s --check-prefixes=CHECK,MODEL

// CHECK-LABEL: cp.batch @zigzag
cp.batch @zigzag ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(1000) mask(causal)
  // CHECK: cp.shard
  %s0 = cp.shard %d0 {[0, 250) on 0, [250, 750) on 1, [750, 1000) on 0}
  cp.tiles %s0 heads[0, 4) {q[0, 250) kv[0, 250) on 0, q[250, 750) kv[0, 750) on 1,
                             q[750, 1000) kv[0, 1000) on 0}
  cp.transfer %s0 kv heads[0, 2) {[250, 750) to 0, [0, 250) to 1}
  // The programs say it all: attends and transfers are gone.
  // CHECK-NOT: cp.tiles
  // CHECK-NOT: cp.transfer
  // CHECK: cp.program rank(0) layout {0 : [0, 250), 0 : [750, 1000)} {
  // Own rows first: the first range sees itself, the second the first and itself.
  // CHECK-NEXT: cp.attend stage(0) {0 : q[0, 250) kv[0, 250) heads[0, 4), 0 : q[750, 1000) kv[0, 250) heads[0, 4), 0 : q[750, 1000) kv[750, 1000) heads[0, 4)}
  // ONE-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [250, 750)}
  // ONE-NEXT: cp.attend stage(1) {0 : q[750, 1000) kv[250, 750) heads[0, 4)}
  // ONE-NEXT: }
  // MODEL-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [250, 750)}
  // MODEL-NEXT: cp.attend stage(1) {0 : q[750, 1000) kv[250, 750) heads[0, 4)}
  // MODEL-NEXT: }
  // 500 rows in two stages; the cut behind 250 rows moves down to a multiple of 128.
  // TWO-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [250, 378)}
  // TWO-NEXT: cp.attend stage(1) {0 : q[750, 1000) kv[250, 378) heads[0, 4)}
  // TWO-NEXT: cp.exchange stage(2) kv heads[0, 2) receive {0 : [378, 750)}
  // TWO-NEXT: cp.attend stage(2) {0 : q[750, 1000) kv[378, 750) heads[0, 4)}
  // TWO-NEXT: }
  // CHECK-NEXT: cp.program rank(1) layout {0 : [250, 750)} {
}

// Without cp-coalesce-transfers a row may come twice: tiles read it once.
// CHECK-LABEL: cp.batch @not_coalesced
cp.batch @not_coalesced ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 30) on 0, [30, 50) on 1, [50, 80) on 0, [80, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 30) kv[0, 30) on 0, q[30, 50) kv[0, 50) on 1,
                             q[50, 80) kv[0, 80) on 0, q[80, 100) kv[0, 100) on 1}
  cp.transfer %s0 kv heads[0, 2) {[0, 30) to 1, [30, 50) to 0, [0, 30) to 1, [50, 80) to 1}
  // ONE: cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 30), 0 : [0, 30), 0 : [50, 80)}
  // ONE-NEXT: cp.attend stage(1) {0 : q[30, 50) kv[0, 30) heads[0, 4), 0 : q[80, 100) kv[0, 30) heads[0, 4), 0 : q[80, 100) kv[50, 80) heads[0, 4)}
}

// Stages rotate: first the rows of the node's own ranks, then those of the other one, and each has 768
// of the 1536 rows that the second node receives. With relays every stage has a second exchange. To
// tiles, what comes from owners and from relays would be one range if it touched.
// CHECK-LABEL: cp.batch @relayed
cp.batch @relayed ranks(4) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"pairs", {ranks_per_node = 2 : i64, intra_node = array<f64: 3.5e5, 2.0>,
                      inter_node = array<f64: 4.5e4, 5.0>, block = array<i64: 128, 128>,
                      columns = array<i64: 128, 256>, forward_us = array<f64: 0.5, 0.75>,
                      backward_us = array<f64: 1.0, 1.5>}> {
  %d0 = cp.document length(2048) mask(causal)
  %s0 = cp.shard %d0 {[0, 512) on 0, [512, 1024) on 1, [1024, 1536) on 2, [1536, 2048) on 3}
  cp.tiles %s0 heads[0, 4) {q[0, 512) kv[0, 512) on 0, q[512, 1024) kv[0, 1024) on 1,
                             q[1024, 1536) kv[0, 1536) on 2, q[1536, 2048) kv[0, 2048) on 3}
  cp.transfer %s0 kv heads[0, 2) {[0, 512) to 1, [0, 512) to 2, [512, 1024) to 2 via 3,
                                  [0, 512) to 3 via 2, [512, 1536) to 3}
  // TWO: cp.program rank(0)
  // TWO: cp.exchange stage(1) relayed kv heads[0, 2) receive {}
  // TWO: cp.program rank(1)
  // TWO: cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 256)}
  // TWO: cp.exchange stage(2) kv heads[0, 2) receive {0 : [256, 512)}
  // TWO: cp.program rank(2)
  // TWO-NEXT: cp.attend stage(0)
  // TWO-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 128)}
  // TWO-NEXT: cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [512, 640) from 3}
  // TWO-NEXT: cp.attend stage(1) {0 : q[1024, 1536) kv[0, 128) heads[0, 4), 0 : q[1024, 1536) kv[512, 640) heads[0, 4)}
  // TWO-NEXT: cp.exchange stage(2) kv heads[0, 2) receive {0 : [128, 512)}
  // TWO-NEXT: cp.exchange stage(2) relayed kv heads[0, 2) receive {0 : [640, 1024) from 3}
  // TWO-NEXT: cp.attend stage(2) {0 : q[1024, 1536) kv[128, 512) heads[0, 4), 0 : q[1024, 1536) kv[640, 1024) heads[0, 4)}
  // TWO-NEXT: }
  // TWO-NEXT: cp.program rank(3)
  // TWO-NEXT: cp.attend stage(0)
  // TWO-NEXT: cp.exchange stage(1) kv heads[0, 2) receive {0 : [512, 640), 0 : [1024, 1536)}
  // TWO-NEXT: cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [0, 128) from 2}
  // TWO-NEXT: cp.attend stage(1)
  // TWO-NEXT: cp.exchange stage(2) kv heads[0, 2) receive {0 : [640, 1024)}
  // TWO-NEXT: cp.exchange stage(2) relayed kv heads[0, 2) receive {0 : [128, 512) from 2}
  // TWO-NEXT: cp.attend stage(2) {0 : q[1536, 2048) kv[128, 512) heads[0, 4), 0 : q[1536, 2048) kv[640, 1024) heads[0, 4)}
  // TWO-NEXT: }
  // ONE: cp.program rank(3)
  // ONE: cp.attend stage(1) {0 : q[1536, 2048) kv[0, 1536) heads[0, 4)}
}

// Rows of a stage take 512 us or more and local tiles 600, 100 and 100 us: each stage is waited for. A
// tile that begins while the rank would wait comes before.
// CHECK-LABEL: cp.batch @paced
cp.batch @paced ranks(2) heads<q = 1, kv = 1, dim = 128> dtype(bf16) exchange<needed>
    cluster<"slow", {ranks_per_node = 8 : i64, intra_node = array<f64: 256.0, 0.0>,
                     inter_node = array<f64: 256.0, 0.0>, block = array<i64: 128, 128>,
                     columns = array<i64: 128, 256>, forward_us = array<f64: 100.0, 200.0>,
                     backward_us = array<f64: 100.0, 200.0>}> {
  %d0 = cp.document length(1024) mask(causal)
  %d1 = cp.document length(128) mask(full)
  %d2 = cp.document length(128) mask(full)
  %s0 = cp.shard %d0 {[0, 640) on 0, [640, 1024) on 1}
  %s1 = cp.shard %d1 {[0, 128) on 1}
  %s2 = cp.shard %d2 {[0, 128) on 1}
  cp.tiles %s0 heads[0, 1) {q[0, 640) kv[0, 640) on 0, q[640, 1024) kv[0, 1024) on 1}
  cp.tiles %s1 heads[0, 1) {q[0, 128) kv[0, 128) on 1}
  cp.tiles %s2 heads[0, 1) {q[0, 128) kv[0, 128) on 1}
  cp.transfer %s0 kv heads[0, 1) {[0, 640) to 1}
  // TWO: cp.program rank(1)
  // TWO-NEXT: cp.attend stage(0) {0 : q[640, 1024) kv[640, 1024) heads[0, 1), 1 : q[0, 128) kv[0, 128) heads[0, 1)}
  // TWO-NEXT: cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 256)}
  // TWO-NEXT: cp.attend stage(1) {0 : q[640, 1024) kv[0, 256) heads[0, 1)}
  // TWO-NEXT: cp.attend stage(0) {2 : q[0, 128) kv[0, 128) heads[0, 1)}
  // TWO-NEXT: cp.exchange stage(2) kv heads[0, 1) receive {0 : [256, 640)}
  // TWO-NEXT: cp.attend stage(2) {0 : q[640, 1024) kv[256, 640) heads[0, 1)}
  // TWO-NEXT: }
}

// Nothing moves: no exchange, whatever the option says.
// CHECK-LABEL: cp.batch @local
// CHECK-NOT: cp.exchange
cp.batch @local ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
  %d0 = cp.document length(100) mask(causal)
  %d1 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 100) on 0}
  %s1 = cp.shard %d1 {[0, 100) on 1}
  cp.tiles %s0 heads[0, 4) {q[0, 100) kv[0, 100) on 0}
  cp.tiles %s1 heads[0, 4) {q[0, 100) kv[0, 100) on 1}
}
