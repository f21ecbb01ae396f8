"""compile(): documents and options as the C library takes them, and the plan that it makes."""

from __future__ import annotations

import ctypes
import operator
import os
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy

from flashcp import _library
from flashcp._errors import InvalidArgumentError
from flashcp._library import RequestBuilder, check
from flashcp._plan import Plan

if TYPE_CHECKING:
    DocumentLengths = Union[Sequence[Union[int, Tuple[int, Optional[str]]]], numpy.ndarray]

# Names of dtypes elsewhere, by their last part: numpy.float32, "torch.bfloat16", jax.numpy.float16.
_DTYPE_NAMES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "half": "f16"}


def dtype_name(dtype: Any) -> str:
    """Returns "f32", "bf16" or "f16" for a name or for the dtype of another library.

    Unknown names are returned as they are: the C library refuses them.
    """
    if isinstance(dtype, str):
        name = dtype
    else:
        name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or str(dtype)
    return _DTYPE_NAMES.get(name.rpartition(".")[2], name)


def _heads_text(heads: Union[str, int, Tuple[int, int]]) -> str:
    if isinstance(heads, str):
        return heads
    if isinstance(heads, int):
        return f"{heads}:{heads}"
    query, key_value = heads
    return f"{query}:{key_value}"


def _number_text(value: Union[int, float]) -> str:
    return repr(float(value))  # The shortest text that reads back as the same number.


def option_texts(
    *,
    ranks: Optional[int] = None,
    heads: Union[Tuple[int, int], int, str] = (32, 8),
    head_dim: int = 128,
    scale: Optional[float] = None,
    dtype: Any = "bf16",
    mask: str = "causal",
    cluster: Union[str, "os.PathLike[str]"] = "h100x8",
    exchange: str = "needed",
    slack: float = 0,
    time_budget: float = 20,
    strategy: str = "auto",
    memory_budget: float = 0,
    workspace_limit: Optional[float] = None,
) -> Dict[str, str]:
    """Returns the options of `compile` as texts of the command line, by their names there."""
    texts = {
        "ranks": None if ranks is None else str(ranks),
        "heads": _heads_text(heads),
        "head-dim": str(head_dim),
        "scale": None if scale is None else _number_text(scale),
        "dtype": dtype_name(dtype),
        "mask": mask,
        "cluster": os.fspath(cluster),
        "exchange": exchange,
        "slack": _number_text(slack),
        "time-budget": _number_text(time_budget),
        "strategy": strategy,
        "memory-budget": _number_text(memory_budget),
        "workspace-limit": None if workspace_limit is None else _number_text(workspace_limit),
    }
    return {name: text for name, text in texts.items() if text is not None}


# A flashcp_document: tokens, and the address of a text.
_DOCUMENT = numpy.dtype([("length", "<i8"), ("mask", "<u8")])


def _lengths(documents: Sequence[Any]) -> numpy.ndarray[Any, Any]:
    """Returns numbers of tokens as int64. InvalidArgumentError names the document."""
    try:
        return numpy.fromiter(map(operator.index, documents), numpy.int64, len(documents))
    except (TypeError, OverflowError):
        pass
    for index, document in enumerate(documents):
        try:
            numpy.int64(operator.index(document))
        except (TypeError, OverflowError):
            raise InvalidArgumentError(
                f"document {index}: expected a number of tokens of 64 bits, or a pair (tokens, "
                f"mask), found {document!r}"
            ) from None
    raise AssertionError("one of the documents is not a number of tokens")


def _mask_addresses(masks: Sequence[Optional[str]]) -> Tuple[List[int], Any]:
    """Returns the address of each mask's text, 0 for none, and what keeps the texts."""
    texts: Dict[Optional[str], Tuple[int, Any]] = {None: (0, None)}
    for mask in masks:
        if mask not in texts:
            if not isinstance(mask, str):
                raise InvalidArgumentError(f"mask: expected a name such as 'full', found {mask!r}")
            texts[mask] = _library.text_address(mask.encode())
    return [texts[mask][0] for mask in masks], texts


def _documents(doc_lengths: "DocumentLengths") -> Tuple[numpy.ndarray[Any, Any], Any]:
    """Returns flashcp_documents, and what keeps their masks."""
    shape = getattr(doc_lengths, "shape", None)
    if shape is not None and len(shape) != 1:
        raise InvalidArgumentError(
            f"doc_lengths: expected one dimension, found an array of shape {tuple(shape)}"
        )
    documents = list(doc_lengths)
    masks = [x[1] if isinstance(x, (tuple, list)) and len(x) == 2 else None for x in documents]
    lengths = [x[0] if isinstance(x, (tuple, list)) and len(x) == 2 else x for x in documents]
    table = numpy.zeros(len(documents), _DOCUMENT)
    table["length"] = _lengths(lengths)
    table["mask"], kept = _mask_addresses(masks)
    return table, kept


def request_of(
    doc_lengths: "DocumentLengths", layout: Optional[Plan], options: Dict[str, str]
) -> RequestBuilder:
    """Returns the request of a batch. InvalidArgumentError names the document."""
    table, kept = _documents(doc_lengths)
    handle = layout._handle if layout is not None else None
    return RequestBuilder(table.ctypes.data, len(table), options, handle, (table, kept))


def compile(
    doc_lengths: "DocumentLengths",
    ranks: Optional[int] = None,
    heads: Union[Tuple[int, int], int, str] = (32, 8),
    head_dim: int = 128,
    dtype: Any = "bf16",
    cluster: Union[str, "os.PathLike[str]"] = "h100x8",
    strategy: str = "auto",
    mask: str = "causal",
    layout: Optional[Plan] = None,
    *,
    scale: Optional[float] = None,
    exchange: str = "needed",
    slack: float = 0,
    time_budget: float = 20,
    memory_budget: float = 0,
    workspace_limit: Optional[float] = None,
) -> Plan:
    """Plans a batch: the same bytes on every rank and machine, so that no rank has to be asked.

    Args:
      doc_lengths: tokens of each document in the order of the pack: ints, pairs (tokens, mask) for
        a document with a mask of its own, or an integer array of one dimension.
      ranks: of the context-parallel group; None: those of `layout`, else of the cluster (8).
      heads: (query heads, key/value heads); one number for both; or the text "32:8".
      head_dim: elements of one head, 8 to 256 in steps of 8.
      dtype: of Q, K, V and O: "f32", "bf16", "f16", or such a dtype of numpy, torch or jax.
      cluster: a preset ("h100x8", "h100x64", "h100-ib8", "cpu") or the path of a JSON file.
      strategy: the rule that places tokens on ranks; "auto" searches.
      mask: of documents without one: "causal", "full", "window:W" or "band:LOWER:UPPER".
      layout: a plan of the same lengths whose placement of tokens, ranks and slack the new plan
        takes over, so that layers of different masks run on the same rows. Other options are not
        taken over; strategy is left out.
      scale: of the scores before softmax; None: 1 / sqrt(head_dim).
      exchange: "needed" (rows that the rank attends to) or "all-gather" (the baseline).
      slack: percent of tokens that a rank may own above its equal share.
      time_budget: how long "auto" searches: milliseconds of one core, counted in steps.
      memory_budget: MiB of a rank for received rows that stay from forward to backward.
      workspace_limit: MiB that a rank may take besides its own tensors; 0: no limit; None: a tenth
        of the cluster's memory, or 1024.

    Raises:
      InvalidArgumentError (a ValueError): names the option or the document, with what was found and
        what is allowed.
      ResourceExhaustedError (a MemoryError), NotFoundError: as the texts say.

    Thread-safe; drops the GIL while it plans.
    """
    texts = option_texts(
        ranks=ranks,
        heads=heads,
        head_dim=head_dim,
        scale=scale,
        dtype=dtype,
        mask=mask,
        cluster=cluster,
        exchange=exchange,
        slack=slack,
        time_budget=time_budget,
        strategy=strategy,
        memory_budget=memory_budget,
        workspace_limit=workspace_limit,
    )
    request = request_of(doc_lengths, layout, texts)
    pointer = ctypes.c_void_p()
    check(_library.compiler().flashcp_compile(ctypes.byref(request.request), ctypes.byref(pointer)))
    return Plan(_library.plan_handle(pointer))
