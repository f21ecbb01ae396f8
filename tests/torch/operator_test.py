"""The operator under opcheck, torch.compile and selective checkpointing; needs PyTorch 2.4."""

import unittest
from unittest import mock

import ranks
import torch
import torch._dynamo
from torch.utils.checkpoint import checkpoint

import flashcp.torch as fcp
from flashcp.torch._engines import NativeEngine

LENGTHS = [70, 9, 0, 41]
OPTIONS = {"heads": (4, 2), "head_dim": 16, "dtype": torch.float32}


def count_passes(test):
    """Counts forward and backward passes of backend native in calls["forward"], ["backward"]."""
    calls = {"forward": 0, "backward": 0}
    for name in calls:
        real = getattr(NativeEngine, name)

        def wrapped(*arguments, _name=name, _real=real):
            calls[_name] += 1
            return _real(*arguments)

        patch = mock.patch.object(NativeEngine, name, wrapped)
        patch.start()
        test.addCleanup(patch.stop)
    return calls


class Block(torch.nn.Module):
    """Projections, attention, residual: what is compiled and checkpointed in trainers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.out = torch.nn.Linear(32, 128), torch.nn.Linear(64, 32)

    def forward(self, x, handle):
        q, k, v = self.qkv(x).unflatten(-1, (-1, 16)).split([4, 2, 2], 1)
        return x + self.out(fcp.attention(q, k, v, handle).flatten(1)).relu()


def step(block, x, handle):
    x = x.detach().requires_grad_()
    y = block(x, handle)
    y.square().sum().backward()
    gradients = [x.grad, *(p.grad for p in block.parameters())]
    block.zero_grad()
    return [y.detach(), *gradients]


class Operator(unittest.TestCase):
    def setUp(self):
        self.context = fcp.ContextParallel(None, **OPTIONS)

    def _compare(self, got, want):
        for a, b in zip(got, want):
            self.assertLess(ranks.difference(a, b), 1e-5)

    def test_opcheck(self):
        """Saved rows make the third output's size one that only the plan knows."""
        batch = self.context.batch(LENGTHS)
        q, k, v = (
            torch.randn(sum(LENGTHS), heads, 16, requires_grad=True)
            for heads in OPTIONS["heads"] + (2,)
        )
        arguments = (q, k, v, batch.handle, "", True)
        torch.library.opcheck(torch.ops.flashcp.attention.default, arguments)

    def test_one_graph_for_all_plans(self):
        counters = torch._dynamo.utils.counters
        torch._dynamo.reset()
        counters.clear()
        block = Block()
        compiled = torch.compile(block, fullgraph=True, dynamic=True, backend="aot_eager")
        for n in (30, 41, 52, 63):
            batch = self.context.batch([n, 20 + n])
            x = torch.randn(batch.tokens_total, 32)
            self._compare(step(compiled, x, batch.handle), step(block, x, batch.handle))
            self.assertEqual(counters["stats"]["unique_graphs"], 1)

    def test_inductor(self):
        batch = self.context.batch(LENGTHS)
        block, x = Block(), torch.randn(sum(LENGTHS), 32)
        compiled = torch.compile(block, fullgraph=True)
        self._compare(step(compiled, x, batch.handle), step(block, x, batch.handle))

    def test_selective_checkpoint_exchanges_once(self):
        batch = self.context.batch(LENGTHS)
        block, x = Block(), torch.randn(sum(LENGTHS), 32)
        want = step(block, x, batch.handle)

        def plain(y, handle):
            return checkpoint(block, y, handle, use_reentrant=False)

        def selective(y, handle):
            context_fn = fcp.keep_attention
            return checkpoint(block, y, handle, use_reentrant=False, context_fn=context_fn)

        plain.parameters = selective.parameters = block.parameters
        plain.zero_grad = selective.zero_grad = block.zero_grad
        for function, forwards in ((plain, 2), (selective, 1)):
            count = count_passes(self)
            self._compare(step(function, x, batch.handle), want)
            self.assertEqual(count, {"forward": forwards, "backward": 1}, function.__name__)
            self.doCleanups()

    def test_selective_checkpoint_compiles(self):
        batch = self.context.batch(LENGTHS)
        block, x = Block(), torch.randn(sum(LENGTHS), 32)
        want = step(block, x, batch.handle)

        def function(y, handle):
            context_fn = fcp.keep_attention
            return checkpoint(block, y, handle, use_reentrant=False, context_fn=context_fn)

        compiled = torch.compile(function, backend="aot_eager")
        compiled.parameters, compiled.zero_grad = block.parameters, block.zero_grad
        count = count_passes(self)
        self._compare(step(compiled, x, batch.handle), want)
        self.assertEqual(count, {"forward": 1, "backward": 1})

    def test_saved_rows_are_an_output(self):
        """Over two ranks, with rows that stay from forward to backward."""
        import flashcp

        group = flashcp.Group.threads(2)
        options = {**OPTIONS, "memory_budget": 1, "strategy": "zigzag"}
        contexts = [fcp.ContextParallel(group, rank=rank, **options) for rank in range(2)]
        plan = contexts[0].compile(LENGTHS)["causal"]
        self.assertGreater(plan.rank_info(0).saved_bytes + plan.rank_info(1).saved_bytes, 0)
        inputs = ranks.tensors(plan)

        def run(rank):
            batch = contexts[rank].batch(LENGTHS)
            q, k, v, do = (batch.shard(x) for x in inputs)
            leaves = [x.requires_grad_() for x in (q, k, v)]

            def layer(q, k, v):
                return fcp.attention(q.sin().asin(), k, v, batch.handle)

            o = checkpoint(layer, *leaves, use_reentrant=False, context_fn=fcp.keep_attention)
            o.backward(do)
            return [o.detach(), *(x.grad for x in leaves)]

        inputs = [x.clamp(-1, 1) for x in inputs]
        o, dq, dk, dv = ranks.to_global(plan, ranks.in_threads(2, run))
        want = ranks.exact_step(plan, *inputs)
        inside = inputs[0].abs() < 0.99  # asin's gradient is not finite at 1
        self.assertLess(ranks.difference(o, want[0]), 2e-5)
        self.assertLess(ranks.difference(dq[inside], want[2][inside]), 1e-4)
        self.assertLess(ranks.difference(dk, want[3]), 2e-5)
        self.assertLess(ranks.difference(dv, want[4]), 2e-5)


if __name__ == "__main__":
    unittest.main()
