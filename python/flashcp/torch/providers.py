"""Attention kernels for the backend `torch`, found at run time.

| name         | is                                             | needs                        |
|--------------|------------------------------------------------|------------------------------|
| `reference`  | matmul and softmax of PyTorch, in f32          | any device                   |
| `flash_attn` | FlashAttention 3 or 2, packed sequences        | CUDA, bf16 or f16            |
| `magi`       | MagiAttention's `flex_flash_attn_func`         | CUDA sm90, bf16 or f16       |

A provider computes calls (`_calls.py`) and returns partial results, O and LSE; it gets the merged O
and LSE in backward and returns the call's exact share of the gradients. Register further ones with
`register`.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from flashcp.torch._bands import BOTH_CAUSAL, Rectangle, typed_pieces, window_of
from flashcp.torch._calls import Call

Partial = Tuple[Tensor, Tensor]
Gradients = Tuple[Tensor, Tensor, Tensor]


class Provider:
    """A kernel. Tensors of a call: q, o, do [rows, heads, dim], k, v [keys, kv heads, dim], whose
    last dimension is dense; lse, delta [rows, heads] in f32."""

    name = ""
    joins_tiles = False  # whether a call takes several tiles

    def check(self, dtype: torch.dtype, device: torch.device, dim: int) -> None:
        """Raises ValueError if it cannot compute such tensors."""

    def key(self, area: Rectangle) -> Any:
        """Tiles of one call have equal keys."""
        return None

    def prepare(self, call: Call, device: torch.device) -> Any:
        """Returns what forward and backward need beside the tensors; becomes call.data."""
        return None

    def forward(self, call: Call, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Partial:
        """Returns O [rows, heads, dim] and LSE [rows, heads]; -inf in rows that see no key. Rows
        outside the call's tiles may hold anything."""
        raise NotImplementedError

    def backward(
        self,
        call: Call,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        do: Tensor,
        lse: Tensor,
        delta: Tensor,
        scale: float,
    ) -> Gradients:
        """Returns dq, dk, dv of the shapes of q, k, v; rows outside the tiles may hold anything."""
        raise NotImplementedError


class Reference(Provider):
    """Plain PyTorch in f32, tile by tile: exact on every device, and slow."""

    name = "reference"
    joins_tiles = False
    _SCORES = 1 << 24  # of one piece of a tile: bounds its memory

    def forward(self, call: Call, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Partial:
        ratio = _ratio(call)
        k, v = (x.float().transpose(0, 1).repeat_interleave(ratio, 0) for x in (k, v))
        parts = []
        for rows in self._pieces(call):
            scores = q[rows].float().transpose(0, 1) @ k.transpose(1, 2) * scale
            hidden = _hidden(call.tiles[0].area, rows, k.device)
            if hidden is not None:
                scores = scores.masked_fill(hidden, float("-inf"))
            lse = scores.logsumexp(-1)
            o = (scores - _finite(lse)[..., None]).exp() @ v
            parts.append((o.transpose(0, 1), lse.transpose(0, 1)))
        return tuple(torch.cat(x) if len(x) > 1 else x[0] for x in zip(*parts))

    def backward(
        self,
        call: Call,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        do: Tensor,
        lse: Tensor,
        delta: Tensor,
        scale: float,
    ) -> Gradients:
        ratio = _ratio(call)
        k, v = (x.float().transpose(0, 1).repeat_interleave(ratio, 0) for x in (k, v))
        dk, dv, dq = torch.zeros_like(k), torch.zeros_like(v), []
        for rows in self._pieces(call):
            qr, dor = (x[rows].float().transpose(0, 1) for x in (q, do))
            lser, deltar = (x[rows].transpose(0, 1)[..., None] for x in (lse, delta))
            p = (qr @ k.transpose(1, 2) * scale - _finite(lser)).exp()
            hidden = _hidden(call.tiles[0].area, rows, k.device)
            if hidden is not None:
                p = p.masked_fill(hidden, 0.0)
            p = p.masked_fill(lser == float("-inf"), 0.0)
            ds = p * (dor @ v.transpose(1, 2) - deltar) * scale
            dq.append((ds @ k).transpose(0, 1))
            dk += ds.transpose(1, 2) @ qr
            dv += p.transpose(1, 2) @ dor
        dk, dv = (x.unflatten(0, (-1, ratio)).sum(1).transpose(0, 1) for x in (dk, dv))
        return torch.cat(dq), dk, dv

    def _pieces(self, call: Call) -> List[slice]:
        """Cuts a tile's queries so that the scores of a piece stay within bounds."""
        area, heads = call.tiles[0].area, call.heads.stop - call.heads.start
        step = max(1, self._SCORES // (heads * area.keys))
        return [slice(a, min(a + step, area.queries)) for a in range(0, area.queries, step)]


def _ratio(call: Call) -> int:
    """The query heads of the call that read one key head."""
    return (call.heads.stop - call.heads.start) // (call.kv_heads.stop - call.kv_heads.start)


def _finite(lse: Tensor) -> Tensor:
    """LSE with 0 for -inf, whose rows see no key: exp(-inf - 0) is 0, exp(-inf + inf) is not."""
    return lse.masked_fill(lse == float("-inf"), 0.0)


def _hidden(area: Rectangle, rows: slice, device: torch.device) -> Optional[Tensor]:
    """The pairs [rows, keys] that the band hides; None if there are none."""
    if not (area.cuts_below or area.cuts_above):
        return None
    i = torch.arange(area.query + rows.start, area.query + rows.stop, device=device)[:, None]
    j = torch.arange(area.key, area.key + area.keys, device=device)[None]
    return (j - i < area.lower) | (j - i > area.upper)


class FlashAttention(Provider):
    """FlashAttention's packed sequences: a tile is one sequence, gaps are sequences without keys or
    without queries.

    A call has one window. In versions 2 a window that reaches `max_seqlen_k` to the right counts as
    infinite, and "infinite" is `max_seqlen_k` again, which hides keys if there are more queries
    than that: so `max_seqlen_k` is set above both.
    """

    name = "flash_attn"
    joins_tiles = True

    def __init__(self) -> None:
        try:
            module = importlib.import_module("flash_attn_interface")
            self._backward = module._flash_attn_backward
            self.version = 3
        except ImportError:
            module = importlib.import_module("flash_attn.flash_attn_interface")
            self._backward = module._flash_attn_varlen_backward
            self.version = 2
        self._forward = module.flash_attn_varlen_func

    def check(self, dtype: torch.dtype, device: torch.device, dim: int) -> None:
        _check_gpu(self.name, dtype, device)

    def key(self, area: Rectangle) -> Any:
        return window_of(area)

    def prepare(self, call: Call, device: torch.device) -> Any:
        """Returns the arguments that describe the sequences."""
        q_ends, k_ends = [0], [0]
        for tile in call.tiles:
            row, key = tile.row - call.rows.start, tile.key_row - call.keys.start
            if row > q_ends[-1]:  # queries that no tile has: no keys
                q_ends.append(row)
                k_ends.append(k_ends[-1])
            if key > k_ends[-1]:  # keys that no tile has: no queries
                q_ends.append(q_ends[-1])
                k_ends.append(key)
            q_ends.append(row + tile.area.queries)
            k_ends.append(key + tile.area.keys)
        left, right = window_of(call.tiles[0].area)
        longest_q = max(b - a for a, b in zip(q_ends, q_ends[1:]))
        longest_k = max(b - a for a, b in zip(k_ends, k_ends[1:]))
        return {
            "cu_seqlens_q": torch.tensor(q_ends, dtype=torch.int32, device=device),
            "cu_seqlens_k": torch.tensor(k_ends, dtype=torch.int32, device=device),
            "max_seqlen_q": longest_q,
            "max_seqlen_k": max(longest_k, longest_q, right + 1),
            "window_size": (left, right),
            "window_size_left": left,
            "window_size_right": right,
            "causal": False,
            "is_causal": False,
            "dropout_p": 0.0,
            "softcap": 0.0,
            "alibi_slopes": None,
            "deterministic": True,
            "return_attn_probs": True,
        }

    def forward(self, call: Call, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Partial:
        values = {**call.data, "q": q, "k": k, "v": v, "softmax_scale": scale}
        o, lse = _call_by_name(self._forward, values)[:2]
        lse = lse.transpose(0, 1)  # [heads, rows] there
        return o, lse.masked_fill(lse == float("inf"), float("-inf"))

    def backward(
        self,
        call: Call,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        do: Tensor,
        lse: Tensor,
        delta: Tensor,
        scale: float,
    ) -> Gradients:
        # Their backward takes +inf for rows without keys: exp(score - inf) is 0.
        lse = lse.masked_fill(lse == float("-inf"), float("inf")).transpose(0, 1).contiguous()
        dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        tensors = {"q": q, "k": k, "v": v, "out": o, "dout": do, "dq": dq, "dk": dk, "dv": dv}
        _call_by_name(
            self._backward, {**call.data, **tensors, "softmax_lse": lse, "softmax_scale": scale}
        )
        return dq, dk, dv


class Magi(Provider):
    """MagiAttention's flexible kernel: typed ranges of queries and keys, several in a call."""

    name = "magi"
    joins_tiles = True

    def __init__(self) -> None:
        module = importlib.import_module("magi_attention.functional.flex_flash_attn")
        self._forward = module.flex_flash_attn_func
        self._backward = module._flex_flash_attn_backward
        # Until its version 1.0.4 the longest ranges were arguments, and LSE was [heads, tokens].
        self._old = "max_seqlen_q" in inspect.signature(self._forward).parameters

    def check(self, dtype: torch.dtype, device: torch.device, dim: int) -> None:
        _check_gpu(self.name, dtype, device)

    def prepare(self, call: Call, device: torch.device) -> Any:
        """Returns the table of ranges."""
        queries, keys, types = [], [], []
        for tile in call.tiles:
            row, key = tile.row - call.rows.start, tile.key_row - call.keys.start
            for q_begin, q_end, k_begin, k_end, kind in typed_pieces(tile.area):
                queries.append([row + q_begin, row + q_end])
                keys.append([key + k_begin, key + k_end])
                types.append(kind)
        assert all(0 <= kind <= BOTH_CAUSAL for kind in types)
        tensors = (
            torch.tensor(x, dtype=torch.int32, device=device) for x in (queries, keys, types)
        )
        return {
            **dict(zip(("q_ranges", "k_ranges", "attn_type_map"), tensors)),
            "max_seqlen_q": max(b - a for a, b in queries),
            "max_seqlen_k": max(b - a for a, b in keys),
            "softcap": 0.0,
            "deterministic": True,
            "sm_margin": 0,
            "disable_fwd_atomic_reduction": False,
            "auto_range_merge": False,
        }

    def forward(self, call: Call, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Partial:
        values = {**call.data, "q": q, "k": k, "v": v, "softmax_scale": scale}
        o, lse = _call_by_name(self._forward, values)[:2]
        return o, lse.transpose(0, 1) if self._old else lse

    def backward(
        self,
        call: Call,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        do: Tensor,
        lse: Tensor,
        delta: Tensor,
        scale: float,
    ) -> Gradients:
        tensors = {"q": q, "k": k, "v": v, "out": o, "dout": do, "sink": None, "sink_layout": "sh"}
        lse = (lse.transpose(0, 1) if self._old else lse).contiguous()
        sums = {name: None for name in ("dq", "dk", "dv", "dsink")}  # f32, made there
        types = {f"{name}_type": torch.float32 for name in ("dq", "dk", "dv")}
        merging = ("merge_k_ranges", "bwd_kq_map", "bwd_unique_count")
        values = {
            **call.data,
            **tensors,
            **sums,
            **types,
            **{name: None for name in merging},
            "lse": lse,
            "softmax_scale": scale,
            "disable_bwd_dkv_atomic_reduction": False,
        }
        return _call_by_name(self._backward, values)[:3]


def _check_gpu(name: str, dtype: torch.dtype, device: torch.device) -> None:
    if device.type == "cpu":
        raise ValueError(
            f'provider "{name}" runs on GPUs, and the tensors are on the CPU: use "reference", or '
            'backend "native"'
        )
    if dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(
            f'provider "{name}" computes bf16 and f16, and the plan is of {dtype}: make '
            'ContextParallel with dtype=torch.bfloat16, or with provider="reference"'
        )


def _call_by_name(function: Callable, values: Dict[str, Any]) -> Any:
    """Calls a function of another package with those of the values that it has parameters for:
    releases add, drop and move parameters. TypeError names one that it needs and nobody knows."""
    signature = inspect.signature(getattr(function, "_init_fn", function))
    arguments = {}
    for parameter in signature.parameters.values():
        if parameter.name in values:
            arguments[parameter.name] = values[parameter.name]
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise TypeError(
                f"{function!r} needs an argument {parameter.name!r} that this version of FlashCP "
                "does not know: install a release that it was written for (docs/embedding.md)"
            )
    return function(**arguments)


_FACTORIES: Dict[str, Callable[[], Provider]] = {
    "flash_attn": FlashAttention,
    "magi": Magi,
    "reference": Reference,
}


def register(name: str, factory: Callable[[], Provider]) -> None:
    """Makes a provider known under a name; `factory` raises ImportError if it is not installed."""
    _FACTORIES[name] = factory


def available() -> List[str]:
    """Names of the providers that are installed, the one that "auto" prefers first."""
    names = []
    for name, factory in _FACTORIES.items():
        try:
            factory()
            names.append(name)
        except ImportError:
            pass
    return names


def find(name: str, dtype: torch.dtype, device: torch.device, dim: int) -> Provider:
    """Returns a provider for such tensors; `name` "auto" takes the first that fits. ValueError says
    why one does not fit or is not there."""
    reasons = []
    for candidate in _FACTORIES if name == "auto" else (name,):
        if candidate not in _FACTORIES:
            raise ValueError(
                f'no provider "{name}": expected "auto" or one of {sorted(_FACTORIES)}'
            )
        try:
            provider = _FACTORIES[candidate]()
            provider.check(dtype, device, dim)
            return provider
        except ImportError as error:
            reasons.append(f'provider "{candidate}" is not installed: {error}')
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("; ".join(reasons))
