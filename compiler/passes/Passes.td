// The passes of the compiler: one pass, one file, one name. Pipeline.cpp holds their order.

#ifndef FLASHCP_COMPILER_PASSES_PASSES_TD
#define FLASHCP_COMPILER_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

def ImportBatch : Pass<"cp-import-batch", "::mlir::ModuleOp"> {
  let summary = "read document lengths into a cp.batch (phase problem)";
  let description = [{
    Reads a LENGTHS file (text, JSON or JSON Lines: docs/cli.md) and adds one
    `cp.batch` per batch of the file to the module. Further options are those of
    `flashcp compile` that say how to plan, with their names and texts
    (compiler/input/batch_options.cc):
    `lengths=lengths.txt ranks=2 heads=4:2 strategy=zigzag`.
  }];
  let dependentDialects = ["::flashcp::cp::CPDialect"];
  let options = [
    Option<"lengths", "lengths", "std::string", "", "path of the LENGTHS file">,
  ];
}

def PlaceDocuments : Pass<"cp-place-documents", "::flashcp::cp::BatchOp"> {
  let summary = "decide who owns which tokens and who computes which tile";
  let description = [{
    Runs the placement strategy of the batch (compiler/solver), or takes the
    layout that its documents name, and writes the answer as one `cp.shard` and
    one `cp.tiles` per document. Queries are computed where they are owned.

    Before:
    ```mlir
    %d0 = cp.document length(100) mask(causal)
    ```
    After, with strategy contiguous on two ranks:
    ```mlir
    %d0 = cp.document length(100) mask(causal)
    %s0 = cp.shard %d0 {[0, 50) on 0, [50, 100) on 1}
    cp.tiles %s0 heads[0, 32) {q[0, 50) kv[0, 50) on 0, q[50, 100) kv[0, 100) on 1}
    ```
  }];
}

def InsertTransfers : Pass<"cp-insert-transfers", "::flashcp::cp::BatchOp"> {
  let summary = "move every K/V row that a tile reads and its rank does not own";
  let description = [{
    One `cp.transfer` per document. With exchange needed, each tile gets the
    keys it reads, whether or not another tile of its rank reads them too: what
    is moved twice, cp-coalesce-transfers merges. With all-gather, every rank
    gets all rows that it does not own.

    After, for the example of cp-place-documents:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 50) to 1}
    ```
  }];
  let statistics = [Statistic<"numRanges", "ranges", "token ranges inserted">];
}

def CoalesceTransfers : Pass<"cp-coalesce-transfers", "::flashcp::cp::BatchOp"> {
  let summary = "merge transfers so that a row goes to a rank once";
  let description = [{
    Merges the transfers of a document with the same tensor and heads into one
    op, and the ranges that one rank receives into disjoint ones in increasing
    order.

    Before:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 50) to 1, [0, 80) to 1}
    ```
    After:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 80) to 1}
    ```
  }];
  let statistics = [Statistic<"numMerged", "merged", "token ranges merged away">];
}

def RelayTransfers : Pass<"cp-relay-transfers", "::flashcp::cp::BatchOp"> {
  let summary = "let rows that several ranks of a node need cross to the node once";
  let description = [{
    On clusters of several nodes with several ranks each: rows that more than
    one rank of a node receives from another node go to one of them, which
    forwards them to the others inside the node. Ranks of a node share this work
    so that each receives about as many rows from other nodes.

    Before, with two ranks on a node:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 1024) to 2, [0, 1024) to 3}
    ```
    After:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) {[0, 512) to 2, [512, 1024) to 2 via 3,
                                    [0, 512) to 3 via 2, [512, 1024) to 3}
    ```
  }];
  let statistics = [Statistic<"numRelayed", "relayed", "token ranges that a relay forwards">];
}

def SaveDocuments : Pass<"cp-save-documents", "::flashcp::cp::BatchOp"> {
  let summary = "choose the documents whose received rows are saved for backward";
  let description = [{
    Within the memory budget of the batch, which is that of each rank: documents
    in the order of the rows that ranks receive of them, most first, each saved
    if it still fits on every rank. Rows of all others are re-sent in backward.

    After, if the budget has room for the rows of %d0:
    ```mlir
    cp.transfer %s0 kv heads[0, 8) saved {[0, 50) to 1}
    ```
  }];
  let statistics = [Statistic<"numSaved", "saved", "documents saved">];
}

def ScheduleStages : Pass<"cp-schedule-stages", "::flashcp::cp::BatchOp"> {
  let summary = "order each rank's work: remote tiles by stage, local ones while it would wait";
  let description = [{
    Turns tiles and transfers into one `cp.program` per rank, which runs once
    for each group of key/value heads. Each remote stage brings a node as many
    rows: first those of its own ranks, then those of the next node, and so on,
    so that all ranks send and receive evenly in each stage. Local tiles come
    where the model says that the rank would wait for rows. The solver chooses
    the number of groups and of stages: the least modelled step within the
    workspace limit of the batch (compiler/solver/schedule.h). Every rank has
    the same numbers, and exchange s starts together on all ranks, so that no
    order of messages can deadlock. If rows are relayed, a second, relayed
    exchange of the stage follows, and the ranks of a node cut their stages at
    the same tokens, so that a relay has what it sends on.

    After, for the example of cp-place-documents:
    ```mlir
    cp.program rank(1) layout {0 : [50, 100)} {
      cp.attend stage(0) {0 : q[50, 100) kv[50, 100) heads[0, 32)}
      cp.exchange stage(1) kv heads[0, 8) receive {0 : [0, 50)}
      cp.attend stage(1) {0 : q[50, 100) kv[0, 50) heads[0, 32)}
    }
    ```
  }];
  let options = [
    Option<"stages", "stages", "int64_t", "0", "remote stages; 0 lets the solver choose">,
    Option<"headGroups", "head-groups", "int64_t", "0",
           "groups of key/value heads; 0 lets the solver choose">,
  ];
}

def AllocateBuffers : Pass<"cp-allocate-buffers", "::flashcp::cp::BatchOp"> {
  let summary = "give every remote row, partial result and sum of gradients its place";
  let description = [{
    Adds to each program the buffers that its stages need: remote keys and
    values of every stage, apart from those of saved documents, which have a
    memory of their own; one accumulator for the query rows that more than one
    tile adds to; sums of gradients, and gradients that come back, for backward,
    which may lie where the accumulator lies in forward.

    Stages take turns in the workspace: three places for keys and values (rows
    arrive, are in use, or leave as gradients), two for sums if rows are relayed
    and one otherwise, one for what comes back over each hop. A program of one
    stage gives its keys and values places that rounds of the head groups take
    in turn.
  }];
}

def DeriveBackward : Pass<"cp-derive-backward", "::flashcp::cp::BatchOp"> {
  let summary = "derive the backward pass of each program from its forward pass";
  let description = [{
    Rows are re-sent and then, with gradients, exchanged in reverse. Remote tiles
    run while K/V and gradients of other stages travel, local ones where the
    model says that the rank would wait. Rows are re-sent as soon as the
    stage that was in their place has left it.

    After:
    ```mlir
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
    ```
  }];
}

def VerifyPhase : Pass<"cp-verify-phase", "::flashcp::cp::BatchOp"> {
  let summary = "check what must hold between ops at a phase boundary";
  let description = [{
    Constraints C20 to C33 of docs/dialect.md. Later passes assume them and do
    not ask again.
  }];
  let options = [
    Option<"phase", "phase", "std::string", "",
           "problem, placed, communicating or scheduled">,
  ];
}

def EmitPlan : Pass<"cp-emit-plan", "::flashcp::cp::BatchOp"> {
  let summary = "write a scheduled batch as a plan file";
  let description = [{
    Translates the programs into the tables of runtime/plan/plan.fbs; expands
    exchanges into messages between the owners and the receivers of tokens.
  }];
  let options = [
    Option<"output", "output", "std::string", "", "path of the plan file">,
  ];
}

#endif // FLASHCP_COMPILER_PASSES_PASSES_TD
