// Types and attributes of the cp dialect: masks, heads, clusters, and the handles between ops.

#ifndef FLASHCP_DIALECTS_CP_CPTYPES_TD
#define FLASHCP_DIALECTS_CP_CPTYPES_TD

include "dialects/cp/CPDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def CP_DocumentType : TypeDef<CP_Dialect, "Document"> {
  let mnemonic = "document";
  let summary = "a document of the batch";
}

def CP_ShardedType : TypeDef<CP_Dialect, "Sharded"> {
  let mnemonic = "sharded";
  let summary = "a document whose tokens have owners";
}

def CP_MaskAttr : AttrDef<CP_Dialect, "Mask"> {
  let mnemonic = "mask";
  let summary = "which keys of its document a query sees";
  let description = [{
    Example: `#cp.mask<window<1024>>`. The names are those of model/mask.h; in a
    `cp.document` a name stands alone: `mask(window<1024>)`.
  }];
  let parameters = (ins "::flashcp::model::Mask":$value);
  let hasCustomAssemblyFormat = 1;
}

def CP_HeadsAttr : AttrDef<CP_Dialect, "Heads"> {
  let mnemonic = "heads";
  let summary = "query heads, key/value heads, elements per head";
  let parameters = (ins "int64_t":$q, "int64_t":$kv, "int64_t":$dim);
  let assemblyFormat = "`<` struct(params) `>`";
}

def CP_ClusterAttr : AttrDef<CP_Dialect, "Cluster"> {
  let mnemonic = "cluster";
  let summary = "the cluster to plan for: a preset by name, or a name and its description";
  let description = [{
    Example: `#cp.cluster<"h100x8">`. A description is a dictionary with the
    keys `ranks_per_node`, `intra_node` and `inter_node` (bytes per microsecond,
    microseconds), `block` (queries, keys), `columns`, `forward_us` and
    `backward_us`, as in model/cluster.h.
  }];
  let parameters = (ins "::mlir::StringAttr":$name,
                        OptionalParameter<"::mlir::DictionaryAttr">:$description);
  let assemblyFormat = "`<` $name (`,` $description^)? `>`";
}

def CP_Exchange : I32EnumAttr<"Exchange", "how K/V reach the ranks that need them", [
  I32EnumAttrCase<"needed", 0>,         // a row goes to a rank once, and only if a query there sees it
  I32EnumAttrCase<"all_gather", 1>,     // every row goes to every rank
]> {
  let cppNamespace = "::flashcp::cp";
  let genSpecializedAttr = 0;
}
def CP_ExchangeAttr : EnumAttr<CP_Dialect, CP_Exchange, "exchange"> {
  let assemblyFormat = "`<` $value `>`";
}

def CP_Tensor : I32EnumAttr<"Tensor", "what a transfer moves", [
  I32EnumAttrCase<"kv", 0>,  // K and V rows, in one message
]> {
  let cppNamespace = "::flashcp::cp";
  let genSpecializedAttr = 0;
}
def CP_TensorAttr : EnumAttr<CP_Dialect, CP_Tensor, "tensor">;

// The names are those of plan.fbs, where they are explained.
def CP_BufferKind : I32EnumAttr<"BufferKind", "what a buffer of a program holds", [
  I32EnumAttrCase<"remote_key", 0>,        // received rows, for the pass that receives them
  I32EnumAttrCase<"remote_value", 1>,
  I32EnumAttrCase<"saved_key", 2>,         // received rows, saved for backward
  I32EnumAttrCase<"saved_value", 3>,
  I32EnumAttrCase<"accumulator", 4>,       // output rows that more than one tile adds to, f32
  I32EnumAttrCase<"delta", 5>,             // sums of output * output gradient
  I32EnumAttrCase<"query_sum", 6>,         // f32 sums of gradients of own rows
  I32EnumAttrCase<"key_sum", 7>,
  I32EnumAttrCase<"value_sum", 8>,
  I32EnumAttrCase<"remote_key_sum", 9>,    // f32 sums of gradients of received rows
  I32EnumAttrCase<"remote_value_sum", 10>,
  I32EnumAttrCase<"outgoing_key", 11>,     // gradients of saved rows, to be sent back
  I32EnumAttrCase<"outgoing_value", 12>,
  I32EnumAttrCase<"incoming", 13>,         // gradients of sent rows, that come back
]> {
  let cppNamespace = "::flashcp::cp";
  let genSpecializedAttr = 0;
}
def CP_BufferKindAttr : EnumAttr<CP_Dialect, CP_BufferKind, "buffer_kind">;

// A dense attribute that C++ reads as an array of one struct of CPEntries.h.
class CP_EntriesAttr<string entry, string plural> : Attr<
    CPred<"::flashcp::cp::holdsEntries<::flashcp::cp::" # entry # ">($_self)">,
    "C18: whole " # plural> {
  let storageType = "::mlir::DenseI64ArrayAttr";
  let returnType = "::llvm::ArrayRef<::flashcp::cp::" # entry # ">";
  let convertFromStorage = "::flashcp::cp::entriesOf<::flashcp::cp::" # entry # ">($_self)";
  let constBuilderCall = "::flashcp::cp::attributeOf<::flashcp::cp::" # entry #
                         ">($_builder.getContext(), $0)";
}
def CP_OwnedRanges : CP_EntriesAttr<"OwnedRange", "owned ranges">;
def CP_RankTiles : CP_EntriesAttr<"RankTile", "tiles">;
def CP_MovedRanges : CP_EntriesAttr<"MovedRange", "moved ranges">;
def CP_TokenRanges : CP_EntriesAttr<"TokenRange", "token ranges">;
def CP_ReceivedRanges : CP_EntriesAttr<"ReceivedRange", "received ranges">;
def CP_StageTiles : CP_EntriesAttr<"StageTile", "tiles">;

#endif // FLASHCP_DIALECTS_CP_CPTYPES_TD
