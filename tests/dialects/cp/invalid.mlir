// Each constraint of one op broken once; the numbers are those of docs/dialect.md.
// RUN: flashcp-opt %s --split-input-file --verify-diagnostics

// C1
// expected-error @+1 {{C1: ranks must lie in [1, 4096], found 0}}
cp.batch @b ranks(0) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C1
// expected-error @+1 {{C1: ranks must lie in [1, 4096], found 4097}}
cp.batch @b ranks(4097) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C2
// expected-error @+1 {{C2: query heads must be a multiple of key/value heads, found 5 and 2}}
cp.batch @b ranks(2) heads<q = 5, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C2
// expected-error @+1 {{C2: query heads must be a multiple of key/value heads, found 4 and 0}}
cp.batch @b ranks(2) heads<q = 4, kv = 0, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C2
// expected-error @+1 {{C2: head dim must be a multiple of 8 from 8 to 256, found 100}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 100> dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C3
// expected-error @+1 {{C3: dtype must be f32, bf16 or f16, found 'i32'}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(i32) exchange<needed> cluster<"cpu"> {
}

// -----

// C4
// expected-error @+1 {{C4: slack must lie in [0, 100] percent}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> slack_percent(101.0) cluster<"cpu"> {
}

// -----

// C34
// expected-error @+1 {{C34: time budget must lie in [0, 3600000] ms, found -1.0}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> time_budget_ms(-1.0) {
}

// -----

// C35
// expected-error @+1 {{C35: memory budget must lie in [0, 17592186044416] bytes, found -1}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> memory_budget_bytes(-1) {
}

// -----

// C37
// expected-error @+1 {{C37: workspace limit must lie in [0, 17592186044416] bytes, found -1}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> workspace_limit_bytes(-1) {
}

// -----

// C36
// expected-error @+1 {{C36: scale must be finite and above 0, found 0.0}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> scale(0.0) dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C36
// expected-error @+1 {{C36: scale must be finite and above 0, found}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> scale(-0.5) dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C36
// expected-error @+1 {{C36: scale must be finite and above 0, found}}
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> scale(0x7F800000) dtype(f32) exchange<needed> cluster<"cpu"> {
}

// -----

// C5
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C5: length must lie in [0, 2147483648], found -1}}
  %d0 = cp.document length(-1) mask(causal)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: mask window<W>: expected W, an integer from 1 to 2147483648, found '0'}}
  %d0 = cp.document length(1) mask(window<0>)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: mask window<W>: expected W, an integer from 1 to 2147483648, found '2147483649'}}
  %d0 = cp.document length(1) mask(window<2147483649>)
}

// -----

// C7
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-note @+1 {{the document is here}}
  %d0 = cp.document length(100) mask(causal)
  // expected-error @+1 {{C7: ranges must cover [0, 100), found [0, 60)}}
  %s0 = cp.shard %d0 {[0, 60) on 0}
}

// -----

// C7
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  // expected-error @+1 {{C7: owned range must not be empty and lie in [0, 100), found [60, 50)}}
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 50) on 1, [50, 100) on 0}
}

// -----

// C8
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  // expected-error @+1 {{C8: rank must lie in [0, 2), found 2}}
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 2}
}

// -----

// C8
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  // expected-error @+1 {{C8: neighbours must have different owners, found two ranges on 0 that meet at 60}}
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 0}
}

// -----

// C7
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+2 {{C7: ranges must cover [0, 100), found [0, 60)}}
  // expected-note @+1 {{the document is here}}
  %d0 = cp.document length(100) mask(causal) layout {[0, 60) on 0}
}

// -----

// C8
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C8: rank must lie in [0, 2), found 2}}
  %d0 = cp.document length(100) mask(causal) layout {[0, 60) on 0, [60, 100) on 2}
}

// -----

// C9
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C9: query range must not be empty and lie in [0, 100), found [60, 101)}}
  cp.tiles %s0 heads[0, 4) {q[60, 101) kv[0, 100) on 1}
}

// -----

// C9
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C9: key range must not be empty and lie in [0, 100), found [5, 5)}}
  cp.tiles %s0 heads[0, 4) {q[60, 100) kv[5, 5) on 1}
}

// -----

// C10
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C10: rank must lie in [0, 2), found -1}}
  cp.tiles %s0 heads[0, 4) {q[60, 100) kv[0, 100) on -1}
}

// -----

// C11
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C11: query heads must be whole groups of 2 or lie inside one, within [0, 4), found [1, 4)}}
  cp.tiles %s0 heads[1, 4) {q[60, 100) kv[0, 100) on 1}
}

// -----

// C11
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C11: query heads must be whole groups of 2 or lie inside one}}
  cp.tiles %s0 heads[4, 5) {q[60, 100) kv[0, 100) on 1}
}

// -----

// C12
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C12: token range must not be empty and lie in [0, 100), found [0, 200)}}
  cp.transfer %s0 kv heads[0, 2) {[0, 200) to 1}
}

// -----

// C12
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C12: rank must lie in [0, 2), found 7}}
  cp.transfer %s0 kv heads[0, 2) {[0, 60) to 7}
}

// -----

// C12
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C12: relay must lie in [0, 2) and not be the receiver, rank 1, found 1}}
  cp.transfer %s0 kv heads[0, 2) {[0, 60) to 1 via 1}
}

// -----

// C13
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{C13: key/value heads must lie in [0, 2), found [0, 4)}}
  cp.transfer %s0 kv heads[0, 4) {[0, 60) to 1}
}

// -----

// C38
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C38: head groups must divide the 2 key/value heads, found 3}}
  cp.program rank(0) layout {} head_groups(3) {
  }
}

// -----

// C14
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C14: rank must lie in [0, 2), found 2}}
  cp.program rank(2) layout {} {
  }
}

// -----

// C15
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C15: token range must not be empty}}
  cp.program rank(0) layout {0 : [5, 5)} {
  }
}

// -----

// C15
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C15: document number must not be negative, found -1}}
  cp.program rank(0) layout {-1 : [0, 5)} {
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C16: stage must be at least 0, found -1}}
    cp.attend stage(-1) {}
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C16: stage must be at least 1, found 0}}
    cp.exchange stage(0) kv heads[0, 2) receive {}
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C16: stage must be at least 1, found 0}}
    cp.buffer remote_key stage(0) offset(0) rows(0)
  }
}

// -----

// C17
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C17: places must lie in [1, 3], found 4}}
    cp.buffer remote_key stage(1) offset(64) rows(0) places(4)
  }
}

// -----

// C17
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C17: offset must be a multiple of 64, found 32}}
    cp.buffer accumulator stage(0) offset(32) rows(0)
  }
}

// -----

// C9, in a program
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C9: key range must not be empty}}
    cp.attend stage(0) {0 : q[0, 5) kv[7, 6) heads[0, 4)}
  }
}

// -----

// C11, in a program
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C11: query heads must be whole groups of 2}}
    cp.attend stage(0) {0 : q[0, 5) kv[0, 5) heads[0, 3)}
  }
}

// -----

// C13, in a program
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C13: key/value heads must lie in [0, 2), found [0, 3)}}
    cp.exchange stage(1) kv heads[0, 3) receive {}
  }
}

// -----

// C18
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  %s0 = cp.shard %d0 {[0, 60) on 0, [60, 100) on 1}
  // expected-error @+1 {{attribute 'ranges' failed to satisfy constraint: C18: whole moved ranges}}
  "cp.transfer"(%s0) <{tensor = #cp<tensor kv>, head_begin = 0 : i64, head_end = 2 : i64, ranges = array<i64: 0, 60>}> : (!cp.sharded) -> ()
}

// -----

// C19
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %x = builtin.unrealized_conversion_cast to !cp.document
  // expected-error @+1 {{C19: must name a cp.document}}
  %s0 = cp.shard %x {}
}

// -----

// C19
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %x = builtin.unrealized_conversion_cast to !cp.sharded
  // expected-error @+1 {{C19: must name a cp.shard}}
  cp.tiles %x heads[0, 4) {}
}

// -----

// C7
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  %d0 = cp.document length(100) mask(causal)
  // expected-error @+1 {{C7: ranges must partition the document in order: expected one from 60 on, found [70, 100)}}
  %s0 = cp.shard %d0 {[0, 60) on 0, [70, 100) on 1}
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: unknown mask 'sliding' (one of causal, full, window<W>, band<LOWER:UPPER>)}}
  %d0 = cp.document length(1) mask(sliding)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: unknown mask 'window': did you mean 'window<W>'? (one of causal, full, window<W>, band<LOWER:UPPER>)}}
  %d0 = cp.document length(1) mask(window)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: unknown mask 'full<3>' (one of causal, full, window<W>, band<LOWER:UPPER>)}}
  %d0 = cp.document length(1) mask(full<3>)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: mask band<LOWER:UPPER>: expected LOWER at most UPPER, found 2 and -2}}
  %d0 = cp.document length(1) mask(band<2:-2>)
}

// -----

// C6
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: mask band<LOWER:UPPER>: expected two limits, found '1:2:3'}}
  %d0 = cp.document length(1) mask(band<1:2:3>)
}

// -----

// C6, as an attribute
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{C6: mask window<W>: expected W, an integer from 1 to 2147483648, found '-1'}}
  %d0 = "cp.document"() <{length = 1 : i64, mask = #cp.mask<window<-1>>}> : () -> !cp.document
}

// -----

// Syntax: masks
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  // expected-error @+1 {{expected '>'}}
  %d0 = cp.document length(1) mask(window<8)
}

// -----

// A document outside of a batch
// expected-error @+1 {{'cp.document' op expects parent op 'cp.batch'}}
%d0 = cp.document length(1) mask(causal)

// -----

// C30
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C30: relay must lie in [0, 2) and not be the receiver, rank 0, found 2}}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [0, 5) from 2}
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.backward {
      // expected-error @+1 {{C16: stage must be at least 1, found 0}}
      cp.resend stage(0)
    }
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.backward {
      // expected-error @+1 {{C16: stage must be at least 1, found 0}}
      cp.pack_gradients stage(0)
    }
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.backward {
      // expected-error @+1 {{C16: stage must be at least 1, found 0}}
      cp.add_gradients stage(0) relayed
    }
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.backward {
      // expected-error @+1 {{C16: stage must be at least 0, found -1}}
      cp.attend_backward stage(-1) tiles[0, 1)
    }
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C16: stage must be at least 1, found 0}}
    cp.buffer remote_key_sum stage(0) offset(0) rows(1)
  }
}

// -----

// C17
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C17: offset must be a multiple of 64, found 8}}
    cp.buffer delta stage(0) offset(8) rows(1)
  }
}

// -----

// C16
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    cp.backward {
      // expected-error @+1 {{C16: stage must be at least 1, found 0}}
      cp.exchange_gradients stage(0)
    }
  }
}

// -----

// C30
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C30: ranges of an exchange come from owners, found [0, 5) of document 0 from a relay}}
    cp.exchange stage(1) kv heads[0, 2) receive {0 : [0, 5) from 1}
  }
}

// -----

// C30
cp.batch @b ranks(2) heads<q = 4, kv = 2, dim = 64> dtype(f32) exchange<needed> cluster<"cpu"> {
  cp.program rank(0) layout {} {
    // expected-error @+1 {{C30: ranges of a relayed exchange come from relays, found [0, 5) of document 0 without one}}
    cp.exchange stage(1) relayed kv heads[0, 2) receive {0 : [0, 5)}
  }
}
