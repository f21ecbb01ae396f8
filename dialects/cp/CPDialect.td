// The cp dialect: the phases of a batch, and what each of its ops decides.

#ifndef FLASHCP_DIALECTS_CP_CPDIALECT_TD
#define FLASHCP_DIALECTS_CP_CPDIALECT_TD

include "mlir/IR/OpBase.td"

def CP_Dialect : Dialect {
  let name = "cp";
  let cppNamespace = "::flashcp::cp";
  let summary = "context-parallel attention: who owns, computes and moves what, and when";
  let description = [{
    Attention over a packed batch of documents, shared by the ranks of one
    context-parallel group. A `cp.batch` goes through four phases; which one it
    is in shows in the ops that it holds.

    ```
    problem         cp.document                        what is asked
    placed          + cp.shard, cp.tiles               who owns which tokens, who computes which tile
    communicating   + cp.transfer                      which K/V rows move
    scheduled       cp.document, cp.shard, cp.program  what each rank does, in order, and where
    ```

    compiler/Pipeline.cpp lists the passes that take a batch from one phase to
    the next, in their order; runtime/plan/plan.fbs is what a scheduled batch
    becomes.

    Per-tile data lives in dense attributes, one op per document or per rank and
    stage, never an op per tile: a batch of thousands of documents on hundreds
    of ranks stays at some thousands of ops.

    A tile names its query range, key range, head range and the rank that
    computes it, which need not own the queries; a transfer names its tensor,
    tokens and heads. Transfers are always derived from shards and tiles.

    Constraints are numbered C1, C2, ... in docs/dialect.md; verifiers, error
    messages and tests cite the number. Ranges are half-open, positions count
    tokens of a document from 0, and documents are numbered in the order of
    their `cp.document` ops.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

#endif // FLASHCP_DIALECTS_CP_CPDIALECT_TD
