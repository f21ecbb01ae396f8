"""Tiles as other kernels see them, compared with the band element by element."""

import random
import unittest

import torch

from flashcp.tables import NO_LOWER, NO_UPPER
from flashcp.torch._bands import Rectangle, trim, typed_pieces, window_of


def tiles(count):
    """Random small tiles: bands without limits, with one, behind and ahead of the diagonal."""
    choose = random.Random(1)
    for _ in range(count):
        lower = choose.choice([NO_LOWER, choose.randrange(-9, 5)])
        upper = choose.choice([NO_UPPER, 0, choose.randrange(-5, 9)])
        sizes = choose.randrange(12), choose.randrange(1, 9), choose.randrange(12)
        if lower <= upper:
            yield Rectangle(*sizes, choose.randrange(1, 9), lower, upper)


def visible(tile):
    i = torch.arange(tile.query, tile.query + tile.queries)[:, None]
    j = torch.arange(tile.key, tile.key + tile.keys)[None]
    return (j - i >= tile.lower) & (j - i <= tile.upper)


class Bands(unittest.TestCase):
    def test_trimmed_tiles_as_windows_and_typed_pieces(self):
        seen = 0
        for tile in tiles(4000):
            whole, area = visible(tile), trim(tile)
            if area is None:
                self.assertFalse(whole.any())
                continue
            seen += 1
            inside = visible(area)
            self.assertEqual(inside.sum(), whole.sum(), tile)
            self.assertTrue(inside.any(1).all(), tile)
            self.assertTrue(torch.equal(self._window(area), inside), tile)
            self.assertTrue(torch.equal(self._pieces(area), inside.int()), tile)
        self.assertGreater(seen, 2000)

    def _window(self, area):
        """FlashAttention's rule, bottom right."""
        left, right = window_of(area)
        self.assertGreaterEqual(min(left, right), -1)
        i = torch.arange(area.queries)[:, None] + area.keys - area.queries
        j = torch.arange(area.keys)[None]
        shown = torch.ones(area.queries, area.keys, dtype=torch.bool)
        shown &= j >= i - left if left >= 0 else shown
        return shown & (j <= i + right) if right >= 0 else shown

    def _pieces(self, area):
        """How often MagiAttention's rules show each pair."""
        count = torch.zeros(area.queries, area.keys, dtype=torch.int32)
        for a, b, c, d, kind in typed_pieces(area):
            i, j = torch.arange(b - a)[:, None], torch.arange(d - c)[None]
            shown = torch.ones(b - a, d - c, dtype=torch.bool)
            if kind in (1, 3):
                shown &= j <= i + (d - c) - (b - a)
            if kind in (2, 3):
                shown &= j >= i
            count[a:b, c:d] += shown
        return count


if __name__ == "__main__":
    unittest.main()
