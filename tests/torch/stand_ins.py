"""Stand-ins for the GPU kernels of other projects: their signatures, shapes and conventions, on the
CPU, computed element by element.

From Dao-AILab/flash-attention flash_attn/flash_attn_interface.py (2.8) and hopper/
flash_attn_interface.py (3), and SandAI-org/MagiAttention magi_attention/functional/
flex_flash_attn.py (1.1). Memory that a kernel leaves unwritten is NaN here; what the real ones
require is asserted.
"""

import sys
import types

import torch

NAN = float("nan")


def _attend(q, k, v, visible, scale):
    """O and LSE of [rows, heads, dim] and [keys, kv heads, dim]; visible [rows, keys]."""
    k, v = (
        x.float().repeat_interleave(q.shape[1] // x.shape[1], 1).transpose(0, 1) for x in (k, v)
    )
    scores = (q.float().transpose(0, 1) @ k.transpose(1, 2) * scale).masked_fill(
        ~visible, float("-inf")
    )
    lse = scores.logsumexp(-1)
    p = (scores - lse.masked_fill(lse == float("-inf"), 0.0)[..., None]).exp()
    return (p @ v).transpose(0, 1), lse


def _attend_backward(q, k, v, o, lse, do, visible, scale):
    """dq, dk, dv in f32 from merged O and LSE [heads, rows], as FlashAttention's kernels: delta is
    computed from O, and exp(score - lse) is not looked after."""
    ratio = q.shape[1] // k.shape[1]
    q, o, do = (x.float().transpose(0, 1) for x in (q, o, do))
    k, v = (x.float().repeat_interleave(ratio, 1).transpose(0, 1) for x in (k, v))
    p = (q @ k.transpose(1, 2) * scale - lse[..., None]).exp()
    p = torch.where(visible, p, torch.zeros_like(p))
    delta = (o * do).sum(-1, keepdim=True)
    ds = p * (do @ v.transpose(1, 2) - delta) * scale
    dk, dv = ds.transpose(1, 2) @ q, p.transpose(1, 2) @ do
    dk, dv = (x.unflatten(0, (-1, ratio)).sum(1).transpose(0, 1) for x in (dk, dv))
    return (ds @ k).transpose(0, 1), dk, dv


def _check_packed(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k):
    for x in (q, k, v):
        assert x.stride(-1) == 1, "the last dimension is dense"
    for ends, x, longest in ((cu_seqlens_q, q, max_seqlen_q), (cu_seqlens_k, k, max_seqlen_k)):
        assert ends.dtype == torch.int32 and ends.is_contiguous()
        lengths = ends[1:] - ends[:-1]
        assert ends[0] == 0 and ends[-1] == len(x) and lengths.min() >= 0, "sequences fill the rows"
        assert lengths.max() <= longest
    assert len(cu_seqlens_q) == len(cu_seqlens_k)


def _window(version, window, longest_q, longest_k):
    """The window that the kernels use: what they take for infinite, and what they put for it."""
    left, right = window
    if version == 2:  # csrc/flash_attn/flash_api.cpp
        left = -1 if left >= longest_k else left
        right = -1 if right >= longest_k else right
        if left < 0 and right >= 0:
            left = longest_k
        if left >= 0 and right < 0:
            right = longest_k
    else:  # hopper/flash_api.cpp
        left = -1 if left >= longest_k - 1 else left
        right = -1 if right >= longest_q - 1 else right
        if left < 0 and right >= 0:
            left = longest_k - 1
        if left >= 0 and right < 0:
            right = longest_q - 1
    return left, right


def _visible(m, n, window):
    left, right = window
    i, j = torch.arange(m)[:, None] + n - m, torch.arange(n)[None]
    return ((j >= i - left) if left >= 0 else True) & (
        (j <= i + right) if right >= 0 else torch.ones(m, n, dtype=torch.bool)
    )


def _sequences(cu_seqlens_q, cu_seqlens_k):
    q, k = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    return [(slice(a, b), slice(c, d)) for a, b, c, d in zip(q, q[1:], k, k[1:])]


def _varlen_forward(version, q, k, v, ends_q, ends_k, longest_q, longest_k, scale, window):
    _check_packed(q, k, v, ends_q, ends_k, longest_q, longest_k)
    o = torch.full(q.shape, NAN, dtype=q.dtype)
    lse = torch.full((q.shape[1], q.shape[0]), NAN)
    window = _window(version, window, longest_q, longest_k)
    for rows, keys in _sequences(ends_q, ends_k):
        visible = _visible(rows.stop - rows.start, keys.stop - keys.start, window)
        part, part_lse = _attend(q[rows], k[keys], v[keys], visible, scale)
        if version == 2:  # rows without keys
            part_lse = part_lse.masked_fill(part_lse == float("-inf"), float("inf"))
        o[rows], lse[:, rows] = part.to(q.dtype), part_lse
    return o, lse


def _varlen_backward(
    version, dout, q, k, v, out, lse, gradients, ends_q, ends_k, longest_q, longest_k, scale, window
):
    _check_packed(q, k, v, ends_q, ends_k, longest_q, longest_k)
    assert lse.shape == (q.shape[1], q.shape[0]) and lse.is_contiguous()
    assert not (lse == float("-inf")).any(), "the LSE of rows without keys is +inf"
    assert dout.stride(-1) == 1 and out.stride(-1) == 1
    window = _window(version, window, longest_q, longest_k)
    for gradient in gradients:
        assert gradient.is_contiguous()
        gradient.fill_(NAN)
    for rows, keys in _sequences(ends_q, ends_k):
        visible = _visible(rows.stop - rows.start, keys.stop - keys.start, window)
        parts = _attend_backward(
            q[rows], k[keys], v[keys], out[rows], lse[:, rows], dout[rows], visible, scale
        )
        for gradient, where, part in zip(gradients, (rows, keys, keys), parts):
            gradient[where] = part.to(gradient.dtype)


def flash_attn_varlen_func(  # version 2
    q,
    k,
    v,
    cu_seqlens_q,
    cu_seqlens_k,
    max_seqlen_q,
    max_seqlen_k,
    dropout_p=0.0,
    softmax_scale=None,
    causal=False,
    window_size=(-1, -1),
    softcap=0.0,
    alibi_slopes=None,
    deterministic=False,
    return_attn_probs=False,
    block_table=None,
):
    assert dropout_p == 0.0 and not causal and softcap == 0.0 and block_table is None
    o, lse = _varlen_forward(
        *(2, q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k),
        *(softmax_scale, window_size),
    )
    return (o, lse, None) if return_attn_probs else o


def _flash_attn_varlen_backward(  # version 2
    dout,
    q,
    k,
    v,
    out,
    softmax_lse,
    dq,
    dk,
    dv,
    cu_seqlens_q,
    cu_seqlens_k,
    max_seqlen_q,
    max_seqlen_k,
    dropout_p,
    softmax_scale,
    causal,
    window_size_left,
    window_size_right,
    softcap,
    alibi_slopes,
    deterministic,
    rng_state=None,
    zero_tensors=False,
):
    assert deterministic and dropout_p == 0.0 and not causal and softcap == 0.0
    _varlen_backward(
        *(2, dout, q, k, v, out, softmax_lse, (dq, dk, dv), cu_seqlens_q, cu_seqlens_k),
        *(max_seqlen_q, max_seqlen_k, softmax_scale, (window_size_left, window_size_right)),
    )


def flash_attn_3_varlen_func(
    q,
    k,
    v,
    cu_seqlens_q,
    cu_seqlens_k,
    max_seqlen_q,
    max_seqlen_k,
    seqused_q=None,
    seqused_k=None,
    softmax_scale=None,
    causal=False,
    qv=None,
    q_descale=None,
    k_descale=None,
    v_descale=None,
    window_size=(-1, -1),
    attention_chunk=0,
    softcap=0.0,
    num_splits=1,
    pack_gqa=None,
    deterministic=False,
    sm_margin=0,
    return_attn_probs=False,
):
    assert seqused_q is None and seqused_k is None and not causal and softcap == 0.0
    o, lse = _varlen_forward(
        *(3, q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k),
        *(softmax_scale, window_size),
    )
    return (o, lse) if return_attn_probs else o


def flash_attn_3_backward(
    dout,
    q,
    k,
    v,
    out,
    softmax_lse,
    cu_seqlens_q=None,
    cu_seqlens_k=None,
    sequed_q=None,
    sequed_k=None,
    max_seqlen_q=None,
    max_seqlen_k=None,
    dq=None,
    dk=None,
    dv=None,
    softmax_scale=None,
    is_causal=False,
    window_size_left=-1,
    window_size_right=-1,
    softcap=0.0,
    deterministic=False,
    sm_margin=0,
):
    assert deterministic and not is_causal and sequed_q is None and sequed_k is None
    _varlen_backward(
        *(3, dout, q, k, v, out, softmax_lse, (dq, dk, dv), cu_seqlens_q, cu_seqlens_k),
        *(max_seqlen_q, max_seqlen_k, softmax_scale, (window_size_left, window_size_right)),
    )


def _typed(m, n, kind):
    """What a range of MagiAttention shows: full, causal, inverse causal, both."""
    i, j = torch.arange(m)[:, None], torch.arange(n)[None]
    visible = torch.ones(m, n, dtype=torch.bool)
    if kind in (1, 3):
        visible &= j <= i + n - m
    if kind in (2, 3):
        visible &= j >= i
    return visible


def _pairs(q, k, q_ranges, k_ranges, attn_type_map):
    """The visible pairs of all ranges; none may be in two."""
    for table in (q_ranges, k_ranges, attn_type_map):
        assert table.dtype == torch.int32 and table.is_contiguous()
    count = torch.zeros(len(q), len(k), dtype=torch.int32)
    rows = zip(q_ranges.tolist(), k_ranges.tolist(), attn_type_map.tolist())
    for (a, b), (c, d), kind in rows:
        assert 0 <= a < b <= len(q) and 0 <= c < d <= len(k)
        count[a:b, c:d] += _typed(b - a, d - c, kind)
    assert count.max() <= 1
    return count.bool()


def flex_flash_attn_func(
    q,
    k,
    v,
    q_ranges,
    k_ranges,
    attn_type_map=None,
    *,
    sink=None,
    sink_layout="sh",
    softmax_scale=None,
    softcap=0.0,
    deterministic=False,
    sm_margin=0,
    disable_fwd_atomic_reduction=False,
    auto_range_merge=False,
    ref_block_size=None,
    swap_ab=False,
    swap_bwd_qk_loop=False,
):
    assert deterministic and softcap == 0.0 and not disable_fwd_atomic_reduction
    visible = _pairs(q, k, q_ranges, k_ranges, attn_type_map)
    o, lse = _attend(q, k, v, visible, softmax_scale)
    return o.to(q.dtype), lse.transpose(0, 1).contiguous()


def _flex_flash_attn_backward(
    dout,
    q,
    k,
    v,
    sink,
    sink_layout,
    out,
    lse,
    dq,
    dk,
    dv,
    dsink,
    q_ranges,
    k_ranges,
    attn_type_map,
    softmax_scale,
    softcap,
    disable_bwd_dkv_atomic_reduction,
    dq_type,
    dk_type,
    dv_type,
    deterministic,
    sm_margin,
    auto_range_merge=False,
    merge_k_ranges=None,
    bwd_kq_map=None,
    bwd_unique_count=None,
    swap_bwd_qk_loop=False,
):
    assert deterministic and sink is None and dq is None and dk_type is torch.float32
    assert lse.shape == q.shape[:2]
    visible = _pairs(q, k, q_ranges, k_ranges, attn_type_map)
    # Rows outside the ranges are not computed, whatever their LSE is.
    visible_lse = lse.transpose(0, 1)
    return (*_attend_backward(q, k, v, out, visible_lse, dout, visible, softmax_scale), None)


def install(*names):
    """Puts stand-ins into sys.modules: "flash_attn" (2), "flash_attn_3", "magi"."""
    remove()
    module = types.ModuleType("stand_in")
    if "flash_attn_3" in names:
        module.flash_attn_varlen_func = flash_attn_3_varlen_func
        module._flash_attn_backward = flash_attn_3_backward
        sys.modules["flash_attn_interface"] = module
    if "flash_attn" in names:
        module = types.ModuleType("flash_attn.flash_attn_interface")
        module.flash_attn_varlen_func = flash_attn_varlen_func
        module._flash_attn_varlen_backward = _flash_attn_varlen_backward
        sys.modules["flash_attn"] = types.ModuleType("flash_attn")
        sys.modules["flash_attn.flash_attn_interface"] = module
    if "magi" in names:
        module = types.ModuleType("magi_attention.functional.flex_flash_attn")
        module.flex_flash_attn_func = flex_flash_attn_func
        module._flex_flash_attn_backward = _flex_flash_attn_backward
        for parent in ("magi_attention", "magi_attention.functional"):
            sys.modules[parent] = types.ModuleType(parent)
        sys.modules["magi_attention.functional.flex_flash_attn"] = module


def remove():
    """Takes the stand-ins out of sys.modules."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("flash_attn_interface", "flash_attn", "magi_attention"):
            del sys.modules[name]
