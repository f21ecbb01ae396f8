"""Both backends agree on every plan that tests/e2e runs, forward and backward.

e2e_plans_test.py PROGRAM... are the tests of tests/e2e: they write down their plans instead of
running them, those of this shard. Plans that differ in nothing that an executor reads, such as those
of two strategies that place a batch equally, are run once.
"""

import hashlib
import os
import struct
import subprocess
import sys
import unittest

import ranks
import torch
import turns

import flashcp
from flashcp.tables import TABLES
from flashcp.torch._engines import NativeEngine, TorchEngine
from flashcp.torch.providers import Reference

PROGRAMS = []
CPU = torch.device("cpu")


def record(program):
    """Yields the plans of a program."""
    path = os.path.join(os.environ["TEST_TMPDIR"], "plans")
    environment = {**os.environ, "FLASHCP_RECORD_PLANS": path}
    for name in ("XML_OUTPUT_FILE", "TESTBRIDGE_TEST_ONLY"):  # are of this test
        environment.pop(name, None)
    result = subprocess.run([program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{program}: {result.stdout}{result.stderr}"
    if not os.path.exists(path):  # no test of the program is in this shard
        return
    with open(path, "rb") as file:
        while size := file.read(8):
            yield flashcp.Plan.from_bytes(file.read(struct.unpack("<Q", size)[0]))
    os.remove(path)


def program_of(plan):
    """A digest of all that an executor reads."""
    shape = (plan.ranks, plan.heads, plan.head_dim, plan.head_groups, plan.dtype, plan.scale)
    digest = hashlib.sha256(repr(shape).encode())
    for rank in range(plan.ranks):
        tables = plan.rank(rank)
        digest.update(repr(plan.rank_info(rank)).encode())
        for name in TABLES:
            rows = plan.documents if name == "documents" else getattr(tables, name)
            digest.update(b"%d" % len(rows) + rows.tobytes())
    return digest.digest()


def tolerance(plan, q, k):
    """The difference that rounding explains: of the dtype, and of scores of this size."""
    scores = plan.scale * float(q.float().norm(dim=-1).max() * k.float().norm(dim=-1).max())
    return ranks.TOLERANCE[q.dtype] + scores * 2**-20


class E2ePlans(unittest.TestCase):
    def setUp(self):
        torch.set_num_threads(1)
        self._groups = {}

    def test_backends_agree(self):
        seen, recorded = set(), 0
        for program in PROGRAMS:
            for index, plan in enumerate(record(program)):
                recorded += 1
                digest = program_of(plan)
                if digest in seen or plan.tokens == 0:
                    continue
                seen.add(digest)
                with self.subTest(program=program, plan=index, hash=f"{plan.hash:016x}"):
                    self._compare(plan)
        print(f"{len(seen)} different plans of {recorded}")
        self.assertGreater(len(seen), 100)

    def _compare(self, plan):
        inputs = ranks.tensors(plan)
        mail, group = turns.Mail(plan.ranks), self._group(plan.ranks)

        def step(rank):
            with mail.turn:
                engine = TorchEngine(plan, turns.Channel(mail, rank), Reference(), CPU)
                torch_ = ranks.engine_step(plan, engine, rank, *inputs)
            return torch_, ranks.engine_step(plan, NativeEngine(plan, group, rank), rank, *inputs)

        steps = ranks.in_threads(plan.ranks, step)
        got, want = (ranks.to_global(plan, parts) for parts in zip(*steps))
        allowed = tolerance(plan, *inputs[:2])
        for name, a, b in zip(("o", "lse", "dq", "dk", "dv"), got, want):
            self.assertLess(ranks.difference(a, b), allowed, name)

    def _group(self, size):
        if size not in self._groups:
            self._groups[size] = flashcp.Group.threads(size)
        return self._groups[size]


if __name__ == "__main__":
    PROGRAMS = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
