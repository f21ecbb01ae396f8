"""FlashCP as an attention implementation of Hugging Face transformers, for models of any kind that
take theirs from AttentionInterface."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional, Tuple

import torch

from flashcp.torch._context import ContextParallel
from flashcp.torch._operator import attention


def register_with_transformers(context: ContextParallel, name: str = "context_parallel") -> None:
    """Makes `attn_implementation=name` attention over the ranks of a ContextParallel.

        model = AutoModelForCausalLM.from_config(config, attn_implementation="context_parallel")
        model(input_ids=tokens[None], position_ids=batch.position_ids[None], use_cache=False,
              flashcp_handle=batch.handle)

    Inputs are one row [1, tokens of the rank] of `batch.shard`. Layers with a sliding window W take
    the mask "window:W" of the context, others the first mask that is not a window. ImportError if
    transformers has no AttentionInterface (4.48); ValueError for a name with "flash", which
    transformers takes for a kernel of FlashAttention.
    """
    if "flash" in name:
        raise ValueError(f"name {name!r}: transformers takes names with 'flash' for FlashAttention")
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    interface = _Interface(context)

    def function(*arguments: Any, **options: Any) -> Tuple[torch.Tensor, None]:
        return interface(*arguments, **options)

    AttentionInterface.register(name, function)
    # Masks are the plan's: no tensor of pairs is made.
    AttentionMaskInterface.register(name, lambda *_, **__: None)


class _Interface:
    """The function of AttentionInterface."""

    def __init__(self, context: ContextParallel) -> None:
        self._scale = context.scale
        self._masks: Dict[str, str] = {}
        for mask_name, mask in context.masks.items():
            self._masks.setdefault(mask if mask.startswith("window:") else "", mask_name)

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: Optional[torch.Tensor],
        scaling: Optional[float] = None,
        dropout: float = 0.0,
        sliding_window: Optional[int] = None,
        flashcp_handle: Optional[torch.Tensor] = None,
        **options: Any,
    ) -> Tuple[torch.Tensor, None]:
        """[1, heads, tokens, head_dim] -> [1, tokens, heads, head_dim]."""
        if flashcp_handle is None:
            raise ValueError("flashcp: call the model with flashcp_handle=batch.handle")
        if attention_mask is not None:
            raise ValueError("flashcp: the plan has the mask, and the model was given an own one")
        for option in ("softcap", "s_aux", "position_bias"):
            if options.get(option) is not None:
                raise ValueError(f"flashcp: attention with {option} is not supported")
        if query.shape[0] != 1 or query.shape[2] != key.shape[2]:
            raise ValueError(
                f"flashcp: expected one packed row and no cache, found queries "
                f"{list(query.shape)} and keys {list(key.shape)}: call the model with "
                "use_cache=False"
            )
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        if not math.isclose(scaling, self._scale, rel_tol=1e-6):
            raise ValueError(
                f"flashcp: the layer scales scores by {scaling}, the plan by {self._scale}: make "
                f"ContextParallel with scale={scaling}"
            )
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        mask = self._mask(sliding_window)
        return attention(q, k, v, flashcp_handle, mask, dropout_p=dropout)[None], None

    def _mask(self, sliding_window: Optional[int]) -> str:
        wanted = f"window:{sliding_window}" if sliding_window else ""
        if wanted not in self._masks:
            expected = f'a mask "{wanted}"' if wanted else "a mask that is not a window"
            raise ValueError(
                f"flashcp: a layer needs {expected}, and ContextParallel has {self._masks}: add "
                "it to masks"
            )
        return self._masks[wanted]
