// Ops of the cp dialect, in the order of the phases that introduce them.

#ifndef FLASHCP_DIALECTS_CP_CPOPS_TD
#define FLASHCP_DIALECTS_CP_CPOPS_TD

include "dialects/cp/CPTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/RegionKindInterface.td"

class CP_Op<string mnemonic, list<Trait> traits = []> : Op<CP_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Phase problem
//===----------------------------------------------------------------------===//

def CP_BatchOp : CP_Op<"batch", [Symbol, IsolatedFromAbove, SingleBlock, NoTerminator,
                                 NoRegionArguments]> {
  let summary = "one packed batch on one context-parallel group";
  let description = [{
    Holds the documents and, phase by phase, what was decided about them. Its
    attributes are all that was asked for: passes have no options of the user.
    `scale` is that of scores before softmax, 1 / sqrt(dim) without it;
    `strategy` is a rule of compiler/solver, or "layout": what documents say; `time_budget_ms` is how long auto
    searches; `memory_budget_bytes` is the memory of a rank for received rows
    that are saved for backward; `workspace_limit_bytes` is what a rank may take
    besides its own tensors in either pass, without it a share of the memory
    that the cluster names.

    Constraints: C1 ranks, C2 heads, C3 dtype, C4 slack, C34 time budget, C35
    memory budget, C36 scale, C37 workspace limit.

    Example:
    ```mlir
    cp.batch @step ranks(2) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed>
        cluster<"h100x8"> {
      %d0 = cp.document length(4096) mask(causal)
    }
    cp.batch @other ranks(2) heads<q = 32, kv = 8, dim = 128> scale(0.125) dtype(bf16)
        exchange<needed> slack_percent(5.0) cluster<"h100x8"> strategy("zigzag")
        time_budget_ms(100.0) memory_budget_bytes(1048576) workspace_limit_bytes(268435456) {
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$ranks, CP_HeadsAttr:$heads,
                       OptionalAttr<F32Attr>:$scale, TypeAttr:$dtype, CP_ExchangeAttr:$exchange,
                       DefaultValuedAttr<F64Attr, "0.0">:$slack_percent, CP_ClusterAttr:$cluster,
                       DefaultValuedAttr<StrAttr, "\"auto\"">:$strategy,
                       DefaultValuedAttr<F64Attr, "20.0">:$time_budget_ms,
                       DefaultValuedAttr<I64Attr, "0">:$memory_budget_bytes,
                       OptionalAttr<I64Attr>:$workspace_limit_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `ranks` `(` $ranks `)` `heads` `` $heads (`scale` `(` $scale^ `)`)?
    `dtype` `(` $dtype `)` `exchange` `` $exchange (`slack_percent` `(` $slack_percent^ `)`)?
    `cluster` `` $cluster (`strategy` `(` $strategy^ `)`)?
    (`time_budget_ms` `(` $time_budget_ms^ `)`)?
    (`memory_budget_bytes` `(` $memory_budget_bytes^ `)`)?
    (`workspace_limit_bytes` `(` $workspace_limit_bytes^ `)`)? attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def CP_DocumentOp : CP_Op<"document", [HasParent<"BatchOp">]> {
  let summary = "one document: its length in tokens and its mask";
  let description = [{
    Documents are numbered from 0 in the order of these ops. `layout` says who
    owns which tokens, if that was asked for and is not to be decided: a batch
    of strategy "layout" has one for each document.

    Constraints: C5 length, C6 mask, C7 partition, C8 owners.

    Example:
    ```mlir
    %d0 = cp.document length(4096) mask(window<1024>)
    %d1 = cp.document length(9000) mask(causal)
    %d2 = cp.document length(5000) mask(causal) layout {[0, 3000) on 1, [3000, 5000) on 0}
    ```
  }];
  let arguments = (ins I64Attr:$length, CP_MaskAttr:$mask, OptionalAttr<CP_OwnedRanges>:$layout);
  let results = (outs CP_DocumentType:$document);
  let builders = [OpBuilder<(ins "int64_t":$length, "const ::flashcp::model::Mask &":$mask)>];
  let assemblyFormat = [{
    `length` `(` $length `)` `mask` `(` custom<Mask>($mask) `)`
    (`layout` custom<Owners>($layout)^)? attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Phase placed
//===----------------------------------------------------------------------===//

def CP_ShardOp : CP_Op<"shard", [HasParent<"BatchOp">]> {
  let summary = "who owns which tokens of a document";
  let description = [{
    The owned ranges partition the document in order, so a document of no tokens
    has none.

    Constraints: C7 partition, C8 owners.

    Example:
    ```mlir
    %s0 = cp.shard %d0 {[0, 1024) on 0, [1024, 4096) on 1}
    ```
  }];
  let arguments = (ins CP_DocumentType:$document, CP_OwnedRanges:$owned);
  let results = (outs CP_ShardedType:$sharded);
  let assemblyFormat = "$document custom<Entries>($owned, \"::flashcp::cp::OwnedRange()\") attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    DocumentOp getDocumentOp();
  }];
}

def CP_TilesOp : CP_Op<"tiles", [HasParent<"BatchOp">]> {
  let summary = "attention tiles of a document, each on the rank that computes it";
  let description = [{
    Each tile is a range of queries against a range of keys, masked by the
    document's mask, for query heads [head_begin, head_end). The rank need not
    own the queries.

    Constraints: C9 tile ranges, C10 tile rank, C11 head range.

    Example:
    ```mlir
    cp.tiles %s0 heads[0, 32) {q[0, 1024) kv[0, 1024) on 0, q[1024, 4096) kv[0, 4096) on 1}
    ```
  }];
  let arguments = (ins CP_ShardedType:$sharded, I64Attr:$head_begin, I64Attr:$head_end,
                       CP_RankTiles:$tiles);
  let assemblyFormat = [{
    $sharded `heads` `` custom<HalfOpen>($head_begin, $head_end)
    custom<Entries>($tiles, "::flashcp::cp::RankTile()") attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ShardOp getShardOp();
  }];
}

//===----------------------------------------------------------------------===//
// Phase communicating
//===----------------------------------------------------------------------===//

def CP_TransferOp : CP_Op<"transfer", [HasParent<"BatchOp">]> {
  let summary = "token ranges of a document that move from their owners to a rank";
  let description = [{
    The senders are the owners of the tokens, as the shard says, or a relay that
    received them from there (`via`). Key/value heads [head_begin, head_end).
    Rows of a `saved` transfer stay with their receivers from forward to
    backward; rows of all others are re-sent in backward.

    Constraints: C12 range and ranks, C13 head range.

    Example:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 1024) to 8, [0, 1024) to 9 via 8}
    cp.transfer %s1 kv heads[0, 8) saved {[0, 512) to 1}
    ```
  }];
  let arguments = (ins CP_ShardedType:$sharded, CP_TensorAttr:$tensor, I64Attr:$head_begin,
                       I64Attr:$head_end, UnitAttr:$saved, CP_MovedRanges:$ranges);
  let assemblyFormat = [{
    $sharded `` $tensor `heads` `` custom<HalfOpen>($head_begin, $head_end)
    (`saved` $saved^)? custom<Entries>($ranges, "::flashcp::cp::MovedRange()") attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ShardOp getShardOp();
  }];
}

//===----------------------------------------------------------------------===//
// Phase scheduled
//===----------------------------------------------------------------------===//

def CP_ProgramOp : CP_Op<"program", [HasParent<"BatchOp">, SingleBlock, NoTerminator,
                                     NoRegionArguments]> {
  let summary = "what one rank does, in order";
  let description = [{
    `layout` lists the token ranges of the rank in the order of its rows. The
    body holds the forward pass, stage by stage: stage 0 attends to local rows,
    first and again between the others, where the rank would wait for rows;
    exchange s brings what stage s attends to, with a second, relayed exchange
    if ranks relay rows. Exchanges run on the communication stream, attends on
    the compute stream. cp-allocate-buffers adds the buffers and how much memory
    they take: scratch of the forward and of the backward pass, and what is
    saved in between. cp-derive-backward adds the backward pass.

    Both passes run once for each of `head_groups` groups of key/value heads and
    their query heads; heads of the body count from the first of the group.

    Each op of a pass becomes one instruction of the plan with the op's name.

    Constraints: C14 rank, C15 layout ranges, C38 head groups.

    Example:
    ```mlir
    cp.program rank(1) layout {0 : [1024, 4096)} {
      cp.attend stage(0) {0 : q[1024, 4096) kv[1024, 4096) heads[0, 32)}
      cp.exchange stage(1) kv heads[0, 8) receive {0 : [0, 1024)}
      cp.attend stage(1) {0 : q[1024, 4096) kv[0, 1024) heads[0, 32)}
    }
    cp.program rank(2) layout {0 : [4096, 5000)} head_groups(8) {
      cp.attend stage(0) {0 : q[4096, 5000) kv[4096, 5000) heads[0, 4)}
      cp.exchange stage(1) kv heads[0, 1) receive {0 : [0, 4096)}
      cp.attend stage(1) {0 : q[4096, 5000) kv[0, 4096) heads[0, 4)}
    }
    ```
  }];
  let arguments = (ins I64Attr:$rank, CP_TokenRanges:$layout,
                       DefaultValuedAttr<I64Attr, "1">:$head_groups,
                       OptionalAttr<I64Attr>:$workspace_bytes,
                       OptionalAttr<I64Attr>:$backward_workspace_bytes,
                       OptionalAttr<I64Attr>:$saved_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `rank` `(` $rank `)` `layout` custom<Entries>($layout, "::flashcp::cp::TokenRange()")
    (`head_groups` `(` $head_groups^ `)`)?
    (`workspace_bytes` `(` $workspace_bytes^ `)`)?
    (`backward_workspace_bytes` `(` $backward_workspace_bytes^ `)`)?
    (`saved_bytes` `(` $saved_bytes^ `)`)? attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def CP_AttendOp : CP_Op<"attend", [HasParent<"ProgramOp">]> {
  let summary = "one launch: the tiles of a stage, or some of those of stage 0";
  let description = [{
    Stage 0 reads K/V from the rank's own rows, stage s > 0 from what the
    exchanges of stage s received. Stage 0 may have several: its tiles are those
    of all of them, in order.

    Constraints: C9 tile ranges, C11 head range, C16 stage.

    Example: see `cp.program`.
  }];
  let arguments = (ins I64Attr:$stage, CP_StageTiles:$tiles);
  let assemblyFormat = "`stage` `(` $stage `)` custom<Entries>($tiles, \"::flashcp::cp::StageTile()\") attr-dict";
  let hasVerifier = 1;
}

def CP_ExchangeOp : CP_Op<"exchange", [HasParent<"ProgramOp">]> {
  let summary = "messages that start together: what this rank receives in a stage";
  let description = [{
    Exchange s starts together on all ranks: each rank receives the token ranges
    listed here from their owners, in this order of rows, and sends what the
    other ranks' exchanges s list of its own tokens. A `relayed` exchange comes
    after the exchange of its stage; each range then comes `from` a relay, which
    received it in that exchange. Rows that are `saved` stay with the receiver
    until backward.

    Constraints: C13 head range, C15 ranges, C16 stage, C30 relays.

    Example:
    ```mlir
    cp.program rank(9) layout {0 : [4096, 4608)} {
      cp.attend stage(0) {0 : q[4096, 4608) kv[4096, 4608) heads[0, 32)}
      cp.exchange stage(1) kv heads[0, 8) receive {0 : [512, 1024), 1 : [0, 64) saved}
      cp.exchange stage(1) relayed kv heads[0, 8) receive {0 : [0, 512) from 8}
      cp.attend stage(1) {0 : q[4096, 4608) kv[0, 1024) heads[0, 32)}
    }
    ```
  }];
  let arguments = (ins I64Attr:$stage, UnitAttr:$relayed, CP_TensorAttr:$tensor,
                       I64Attr:$head_begin, I64Attr:$head_end, CP_ReceivedRanges:$received);
  let assemblyFormat = [{
    `stage` `(` $stage `)` (`relayed` $relayed^)? `` $tensor
    `heads` `` custom<HalfOpen>($head_begin, $head_end)
    `receive` custom<Entries>($received, "::flashcp::cp::ReceivedRange()") attr-dict
  }];
  let hasVerifier = 1;
}

def CP_BufferOp : CP_Op<"buffer", [HasParent<"ProgramOp">]> {
  let summary = "a buffer of the workspace, or of the saved memory";
  let description = [{
    Remote and saved keys and values hold what the exchanges of their stage
    receive, in the order of documents and positions; sums of received rows
    belong to the buffers of their stage, and so do the gradients of rows that
    are saved, until they are sent back. The accumulator holds the output rows
    that more than one tile adds to. `incoming` has the gradients that come back
    for what the exchange of its stage, or the `relayed` one, sends. Buffers
    that serve all stages have stage 0. `rows` are rows of tokens; rows of
    `incoming` have one head. With `places` copies, one behind the other, a
    round of the head groups takes the next one.

    Constraints: C16 stage, C17 offset and places.

    Example:
    ```mlir
    cp.program rank(1) layout {0 : [1024, 4096)} {
      cp.buffer remote_key stage(1) offset(0) rows(1024)
      cp.buffer key_sum stage(0) offset(4096) rows(3072)
      cp.buffer incoming stage(1) relayed offset(8192) rows(512)
      cp.buffer remote_value stage(1) offset(16384) rows(1024) places(3)
    }
    ```
  }];
  let arguments = (ins CP_BufferKindAttr:$kind, I64Attr:$stage, UnitAttr:$relayed, I64Attr:$offset,
                       I64Attr:$rows, DefaultValuedAttr<I64Attr, "1">:$places);
  let assemblyFormat = [{
    `` $kind `stage` `(` $stage `)` (`relayed` $relayed^)? `offset` `(` $offset `)`
    `rows` `(` $rows `)` (`places` `(` $places^ `)`)? attr-dict
  }];
  let hasVerifier = 1;
}

def CP_BackwardOp : CP_Op<"backward", [HasParent<"ProgramOp">, SingleBlock, NoTerminator,
                                       NoRegionArguments]> {
  let summary = "the backward pass of a program, in order";
  let description = [{
    Runs over what the forward pass computes and exchanges: its tiles, its rows.
    Exchanges of any kind come in one order on all ranks.

    Example:
    ```mlir
    cp.program rank(1) layout {0 : [1024, 4096)} {
      cp.attend stage(0) {0 : q[1024, 4096) kv[1024, 4096) heads[0, 32)}
      cp.exchange stage(1) kv heads[0, 8) receive {0 : [0, 1024)}
      cp.attend stage(1) {0 : q[1024, 4096) kv[0, 1024) heads[0, 32)}
      cp.backward {
        cp.clear_gradients stage(0)
        cp.resend stage(1)
        cp.attend_backward stage(0) tiles[0, 1)
        cp.clear_gradients stage(1)
        cp.attend_backward stage(1) tiles[0, 1)
        cp.pack_gradients stage(1)
        cp.exchange_gradients stage(1)
        cp.add_gradients stage(1)
        cp.store_gradients
      }
    }
    ```
  }];
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "attr-dict-with-keyword $body";
}

class CP_BackwardStepOp<string mnemonic, list<Trait> traits = []> :
    CP_Op<mnemonic, !listconcat([HasParent<"BackwardOp">], traits)>;

/// An op over the messages of the exchange of a stage, or of its relayed one.
class CP_MessagesOp<string mnemonic> : CP_BackwardStepOp<mnemonic> {
  let arguments = (ins I64Attr:$stage, UnitAttr:$relayed);
  let assemblyFormat = "`stage` `(` $stage `)` (`relayed` $relayed^)? attr-dict";
  let hasVerifier = 1;
}

def CP_ClearGradientsOp : CP_BackwardStepOp<"clear_gradients"> {
  let summary = "the sums of a stage become 0";
  let description = [{
    The one of stage 0 comes first: it clears the sums of own rows, and computes
    delta. That of stage s clears the sums of what the stage receives, before
    tiles and relays add to them.

    Constraints: C16 stage.

    Example: see `cp.backward`.
  }];
  let arguments = (ins I64Attr:$stage);
  let assemblyFormat = "`stage` `(` $stage `)` attr-dict";
  let hasVerifier = 1;
}

def CP_ResendOp : CP_MessagesOp<"resend"> {
  let summary = "the exchange of a stage again, without saved rows";
  let description = [{
    Constraints: C16 stage.

    Example: see `cp.backward`.
  }];
}

def CP_AttendBackwardOp : CP_BackwardStepOp<"attend_backward"> {
  let summary = "one launch: the gradients of tiles of a stage";
  let description = [{
    Tiles [begin, end) of the stage, all of one cp.attend. Adds to the sums of
    the queries, and of the keys and values, own or received.

    Constraints: C16 stage, C33 tiles.

    Example: see `cp.backward`.
  }];
  let arguments = (ins I64Attr:$stage, I64Attr:$begin, I64Attr:$end);
  let assemblyFormat = [{
    `stage` `(` $stage `)` `tiles` `` custom<HalfOpen>($begin, $end) attr-dict
  }];
  let hasVerifier = 1;
}

def CP_PackGradientsOp : CP_MessagesOp<"pack_gradients"> {
  let summary = "the sums of received rows are rounded for their way back";
  let description = [{
    They replace the rows themselves, which nothing reads any more, unless the
    rows are saved.

    Constraints: C16 stage.

    Example: see `cp.backward`.
  }];
}

def CP_ExchangeGradientsOp : CP_MessagesOp<"exchange_gradients"> {
  let summary = "the gradients of received rows go back to where the rows came from";
  let description = [{
    Starts together on all ranks, as the exchange that it reverses.

    Constraints: C16 stage.

    Example: see `cp.backward`.
  }];
}

def CP_AddGradientsOp : CP_MessagesOp<"add_gradients"> {
  let summary = "the gradients that came back are added to the sums of the sent rows";
  let description = [{
    In the order of the messages, so that sums are the same bits in every run.

    Constraints: C16 stage.

    Example: see `cp.backward`.
  }];
}

def CP_StoreGradientsOp : CP_BackwardStepOp<"store_gradients"> {
  let summary = "the sums of own rows are rounded to dQ, dK and dV";
  let description = "Comes last. Example: see `cp.backward`.";
  let assemblyFormat = "attr-dict";
}

#endif // FLASHCP_DIALECTS_CP_CPOPS_TD
