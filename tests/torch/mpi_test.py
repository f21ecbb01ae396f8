"""Backend native over MPI: two processes of mpirun, each compared with float64."""

import unittest

import ranks
import torch

import flashcp
import flashcp.torch as fcp

LENGTHS = [70, 9, 0, 41, 60]


class Mpi(unittest.TestCase):
    def test_attention_and_sequence_order(self):
        context = fcp.ContextParallel(
            flashcp.Group.mpi(), heads=(4, 2), head_dim=16, dtype=torch.float32
        )
        self.assertEqual(context.ranks, 2)
        batch = context.batch(LENGTHS)
        inputs = ranks.tensors(batch.plan)
        want = [x[batch.token_indices] for x in ranks.exact_step(batch.plan, *inputs)]
        q, k, v, do = (batch.shard(x) for x in inputs)
        leaves = [x.requires_grad_() for x in (q, k, v)]
        o, lse = fcp.attention(*leaves, batch.handle, return_lse=True)
        o.backward(do)
        for a, b in zip((o.detach(), lse, *(x.grad for x in leaves)), want):
            self.assertLess(ranks.difference(a, b), 2e-5)
        runs = batch.to_sequence_order(q.detach(), halo=2)
        self.assertTrue(torch.equal(batch.from_sequence_order(runs[2:]), q))
        self.assertEqual(fcp.all_reduce_count([batch], context), sum(LENGTHS) - 4)


if __name__ == "__main__":
    unittest.main()
