"""Attention in float64, document by document: what all results of the package are compared with."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy


class Inputs(NamedTuple):
    """Tensors in global order, float64 values that the dtype of the plan holds exactly."""

    q: numpy.ndarray
    k: numpy.ndarray
    v: numpy.ndarray
    do: numpy.ndarray


class Results(NamedTuple):
    """What attention and its gradients are, float64, in global order."""

    o: numpy.ndarray
    lse: numpy.ndarray
    dq: numpy.ndarray
    dk: numpy.ndarray
    dv: numpy.ndarray


def bf16_bits(x: numpy.ndarray) -> numpy.ndarray:
    """Returns the bits of bf16 nearest to x: uint16."""
    bits = x.astype(numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def encode(x: numpy.ndarray, dtype: str) -> numpy.ndarray:
    """Returns an array as `attention` takes it for a plan of `dtype`."""
    if dtype == "bf16":
        return bf16_bits(x)
    return x.astype({"f32": numpy.float32, "f16": numpy.float16}[dtype])


def decode(x: numpy.ndarray) -> numpy.ndarray:
    """Returns the values of an array of `attention`: float64; uint16 are bits of bf16."""
    if x.dtype == numpy.uint16:
        x = (x.astype(numpy.uint32) << 16).view(numpy.float32)
    return x.astype(numpy.float64)


def random_inputs(
    tokens: int, heads: Tuple[int, int], dim: int, dtype: str, seed: int = 0
) -> Inputs:
    """Returns seeded random tensors."""
    random = numpy.random.default_rng(seed)

    def tensor(number: int) -> numpy.ndarray:
        return decode(encode(random.standard_normal((tokens, number, dim)), dtype))

    return Inputs(tensor(heads[0]), tensor(heads[1]), tensor(heads[1]), tensor(heads[0]))


def visible(length: int, mask: str) -> numpy.ndarray:
    """Returns which keys each query sees: bool [length, length]."""
    distance = numpy.arange(length)[None, :] - numpy.arange(length)[:, None]
    if mask == "full":
        return numpy.ones((length, length), bool)
    if mask == "causal":
        return distance <= 0
    window = int(mask.split(":")[1])
    return (distance <= 0) & (distance > -window)


def attention(
    inputs: Inputs, documents: Sequence[Tuple[int, str]], scale: Optional[float] = None
) -> Results:
    """Returns attention of each document (length, mask) and its gradients."""
    q, k, v, do = inputs
    group = q.shape[1] // k.shape[1]
    scale = q.shape[2] ** -0.5 if scale is None else scale
    result = Results(
        numpy.zeros_like(q),
        numpy.zeros(q.shape[:2]),
        numpy.zeros_like(q),
        numpy.zeros_like(k),
        numpy.zeros_like(v),
    )
    begin = 0
    for length, mask in documents:
        rows = slice(begin, begin + length)
        hidden = ~visible(length, mask)
        for head in range(q.shape[1]):
            key, value = k[rows, head // group], v[rows, head // group]
            scores = scale * q[rows, head] @ key.T
            scores[hidden] = -numpy.inf
            lse = (
                numpy.log(numpy.exp(scores - scores.max(1, keepdims=True)).sum(1)) if length else 0
            )
            lse = lse + scores.max(1) if length else numpy.zeros(0)
            weights = numpy.exp(scores - lse[:, None])
            output = weights @ value
            gradient = do[rows, head]
            delta = (gradient * output).sum(1, keepdims=True)
            score_gradient = scale * weights * (gradient @ value.T - delta)
            result.o[rows, head] = output
            result.lse[rows, head] = lse
            result.dq[rows, head] = score_gradient @ key
            result.dk[rows, head // group] += score_gradient.T @ q[rows, head]
            result.dv[rows, head // group] += weights.T @ gradient
        begin += length
    return result


# Largest error, relative to the largest value of the tensor; to 1 if all are smaller.
TOLERANCE = {"f32": 3e-6, "f16": 3e-3, "bf16": 2.5e-2}


def error(found: numpy.ndarray, expected: numpy.ndarray) -> float:
    """Returns the largest difference, as TOLERANCE counts it."""
    if expected.size == 0:
        return 0.0
    return float(numpy.abs(decode(found) - expected).max() / max(numpy.abs(expected).max(), 1))


def documents_of(lengths: Sequence[int], mask: str) -> List[Tuple[int, str]]:
    """Returns documents of one mask."""
    return [(length, mask) for length in lengths]
