"""Tiles as kernels outside FlashCP see them: trimmed, as windows, as typed ranges.

A tile is a rectangle of query and key positions with a band: query i sees key j if
lower <= j - i <= upper. Kernels of the ecosystem align their masks with a corner of the rectangle,
so the rectangle is first trimmed until each of its queries sees a key and each key is seen. Then

    FlashAttention:  one sequence, i' + n - m - left <= j' <= i' + n - m + right, with
                     left = -shift - lower, right = shift + upper, shift = queries' end - keys' end
    MagiAttention:   at most three pieces, each full, causal (bottom right), inverse causal (top
                     left) or both

for m queries i' and n keys j' counted from the corner. After trimming left and right are not
negative, which matters since both kernels read a negative number as infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

FULL, CAUSAL, INVERSE_CAUSAL, BOTH_CAUSAL = range(4)  # attn_type_map of MagiAttention


@dataclass(frozen=True)
class Rectangle:
    """Queries [query, query + queries) and keys [key, key + keys) of one document, by position."""

    query: int
    queries: int
    key: int
    keys: int
    lower: int
    upper: int

    @property
    def cuts_below(self) -> bool:
        """Whether the band hides a key from a query since it is too far back."""
        return self.lower + self.query + self.queries - 1 > self.key

    @property
    def cuts_above(self) -> bool:
        """Whether the band hides a key from a query since it is too far ahead."""
        return self.upper + self.query < self.key + self.keys - 1


def trim(tile: Rectangle) -> Optional[Rectangle]:
    """Returns the queries that see a key of the tile, and the keys that they see."""
    key_end = tile.key + tile.keys
    first = max(tile.query, tile.key - tile.upper)
    end = min(tile.query + tile.queries, key_end - tile.lower)
    if first >= end:
        return None
    key = max(tile.key, first + tile.lower)
    key_end = min(key_end, end + tile.upper)
    return Rectangle(first, end - first, key, key_end - key, tile.lower, tile.upper)


def window_of(tile: Rectangle) -> Tuple[int, int]:
    """Returns (left, right) of FlashAttention's window for a trimmed tile; -1 hides nothing."""
    shift = tile.query + tile.queries - tile.key - tile.keys
    left = -shift - tile.lower if tile.cuts_below else -1
    right = shift + tile.upper if tile.cuts_above else -1
    return left, right


def typed_pieces(tile: Rectangle) -> List[Tuple[int, int, int, int, int]]:
    """Returns pieces (query, query end, key, key end, type) of a trimmed tile, counted from its
    corner, which together hold each visible pair once."""
    m, n = tile.queries, tile.keys
    # A band's lower corner is at row `below`, its upper one behind row `above - 1`; corners hide
    # nothing of their own rows.
    below = tile.key - tile.query - tile.lower if tile.cuts_below else m
    above = tile.key + tile.keys - tile.upper - tile.query if tile.cuts_above else 0
    below, above = min(max(below, 0), m), min(max(above, 0), m)
    both = max(0, above - below)
    pieces = []
    if below < above:
        pieces.append((0, below, 0, n - both, CAUSAL))
        pieces.append((below, above, 0, n, BOTH_CAUSAL))
        pieces.append((above, m, both, n, INVERSE_CAUSAL))
    else:
        pieces.append((0, above, 0, n, CAUSAL))
        pieces.append((above, below, 0, n, FULL))
        pieces.append((below, m, 0, n, INVERSE_CAUSAL))
    return [piece for piece in pieces if piece[0] < piece[1]]
