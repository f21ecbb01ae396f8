"""attention() and a batch's companions, by operator and by autograd function, on both
backends."""

import unittest
from unittest import mock

import ranks
import torch
from torch.utils.checkpoint import checkpoint

import flashcp
import flashcp.torch as fcp
from flashcp.torch._operator import HAS_OPERATOR

LENGTHS = [70, 9, 0, 41, 1, 60]
OPERATORS = (True, False) if HAS_OPERATOR else (False,)


def contexts(size=2, **options):
    """(backend, function that makes the context of a rank) for both backends."""
    options = {"heads": (4, 2), "head_dim": 16, "dtype": torch.float32, **options}
    group = flashcp.Group.threads(size)
    groups = ranks.gloo(size)
    yield "native", lambda rank: fcp.ContextParallel(group, rank=rank, **options)
    yield "torch", lambda rank: fcp.ContextParallel(groups[rank], **options)


class Attention(unittest.TestCase):
    def test_gradients_are_those_of_float64(self):
        for backend, make in contexts():
            for operator in OPERATORS:
                with self.subTest(backend=backend, operator=operator):
                    self._check_step(make, operator)

    def _check_step(self, make, operator):
        plan = make(0).compile(LENGTHS)["causal"]
        inputs = ranks.tensors(plan)

        def step(rank):
            batch = make(rank).batch(LENGTHS)
            q, k, v, do = (batch.shard(x) for x in inputs)
            leaves = [x.requires_grad_() for x in (q, k, v)]
            o, lse = fcp.attention(*leaves, batch.handle, return_lse=True, operator=operator)
            self.assertFalse(lse.requires_grad)
            o.backward(do)
            return [o.detach(), lse, *(x.grad for x in leaves)]

        got = ranks.to_global(plan, ranks.in_threads(2, step))
        for a, b in zip(got, ranks.exact_step(plan, *inputs)):
            self.assertLess(ranks.difference(a, b), 2e-5)

    def test_strides_are_read_or_copied(self):
        """q, k, v are views of one projection, transposed as attention layers do, or expanded."""
        for backend, make in contexts():
            with self.subTest(backend):

                def step(rank):
                    batch = make(rank).batch(LENGTHS)
                    rows = len(batch.position_ids)
                    qkv = torch.randn(rows, 8, 16)
                    q, k, v = qkv.split([4, 2, 2], 1)
                    heads_first = torch.randn(4, rows, 16).transpose(0, 1)
                    dims_apart = torch.randn(rows, 4, 32)[..., ::2]
                    for x in (q, heads_first, dims_apart, q[:, :1].expand(-1, 4, -1)):
                        a = fcp.attention(x, k, v, batch.handle)
                        b = fcp.attention(*(y.contiguous() for y in (x, k, v)), batch.handle)
                        self.assertTrue(torch.equal(a, b))

                ranks.in_threads(2, step)

    def test_no_copy_of_contiguous_tensors(self):
        context = fcp.ContextParallel(None, heads=(4, 2), head_dim=16, dtype=torch.float32)
        batch = context.batch(LENGTHS)
        q, k, v = (torch.randn(sum(LENGTHS), heads, 16) for heads in (4, 2, 2))
        seen = []

        def forward(executors, plan, tensors, backward, stream=None):
            seen.append([getattr(tensors, name).data for name in ("query", "key", "value")])

        with mock.patch("flashcp._executors.RankExecutors.forward", forward):
            fcp.attention(q, k, v, batch.handle)
        self.assertEqual(seen, [[x.data_ptr() for x in (q, k, v)]])

    def test_errors_name_rank_and_tensor(self):
        context = fcp.ContextParallel(None, heads=(4, 2), head_dim=16, dtype=torch.float32)
        batch = context.batch(LENGTHS)
        rows = sum(LENGTHS)
        q, k, v = (torch.randn(rows, heads, 16) for heads in (4, 2, 2))
        for error, text, call in (
            (ValueError, "dropout", lambda: fcp.attention(q, k, v, batch.handle, dropout_p=0.1)),
            (
                ValueError,
                r"rank 0: k has shape \[\d+, 4, 16\]",
                lambda: fcp.attention(q, q, v, batch.handle),
            ),
            (ValueError, "without a batch dim", lambda: fcp.attention(q[None], k, v, batch.handle)),
            (
                TypeError,
                "v is torch.float64",
                lambda: fcp.attention(q, k, v.double(), batch.handle),
            ),
            (ValueError, "no mask 'local'", lambda: fcp.attention(q, k, v, batch.handle, "local")),
        ):
            for operator in OPERATORS:
                with self.subTest(text), self.assertRaisesRegex(error, text):
                    call()
        meta = [x.to("meta") for x in (q, k, v)]
        with self.assertRaisesRegex(ValueError, "on meta.*native.*CPU"):
            fcp.attention(*meta, batch.handle, operator=False)
        handle = batch.handle
        batch.close()
        with self.assertRaisesRegex(RuntimeError, "keep its Batch"):
            fcp.attention(q, k, v, handle)

    def test_context_refuses_what_it_cannot_do(self):
        options = {"heads": (4, 2), "head_dim": 16}
        gloo = ranks.gloo(2)[0]
        for text, make in (
            ("expected at least 1", lambda: fcp.ContextParallel(None, row_multiple=0, **options)),
            ("slack", lambda: fcp.ContextParallel(None, row_multiple=8, slack=5, **options)),
            ("masks", lambda: fcp.ContextParallel(None, masks={}, **options)),
            ("backend", lambda: fcp.ContextParallel(None, backend="mpi", **options)),
            (
                "native.*ProcessGroup",
                lambda: fcp.ContextParallel(gloo, backend="native", **options),
            ),
            ("CPU", lambda: fcp.ContextParallel(None, device="cuda", **options)),
            (
                "native",
                lambda: fcp.ContextParallel(flashcp.Group.threads(1), backend="torch", **options),
            ),
            (
                "not installed",
                lambda: fcp.ContextParallel(gloo, provider="flash_attn", **options),
            ),
            ("no provider", lambda: fcp.ContextParallel(gloo, provider="fast", **options)),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, text):
                make()

    def test_different_plans_are_an_error_on_all_ranks(self):
        groups = ranks.gloo(2)

        def step(rank):
            context = fcp.ContextParallel(groups[rank], heads=(4, 2), head_dim=16)
            with self.assertRaisesRegex(ValueError, "different plans.*rank 1"):
                context.batch([40 + rank])

        ranks.in_threads(2, step)

    def test_no_grad_runs_without_backward(self):
        context = fcp.ContextParallel(None, heads=(4, 2), head_dim=16, dtype=torch.float32)
        batch = context.batch(LENGTHS)
        q = torch.randn(sum(LENGTHS), 4, 16, requires_grad=True)
        k, v = (torch.randn(sum(LENGTHS), 2, 16) for _ in range(2))
        asked = []
        real = flashcp._executors.RankExecutors.forward

        def forward(executors, plan, tensors, backward, stream=None):
            asked.append(backward)
            return real(executors, plan, tensors, backward, stream)

        with mock.patch("flashcp._executors.RankExecutors.forward", forward):
            for operator in OPERATORS:
                with torch.no_grad():
                    fcp.attention(q, k, v, batch.handle, operator=operator)
                fcp.attention(q, k, v, batch.handle, operator=operator)
        self.assertEqual(asked, [False, True] * len(OPERATORS))

    def test_accumulation_finds_each_plan_in_backward(self):
        """Two microbatches in flight, backward in the other order."""
        context = fcp.ContextParallel(None, heads=(2, 2), head_dim=16, dtype=torch.float32)
        batches = [context.batch(lengths) for lengths in ([50], [20, 30])]
        for operator in OPERATORS:
            x = torch.randn(50, 2, 16, requires_grad=True)
            outputs = [fcp.attention(x, x, x, b.handle, operator=operator) for b in batches]
            (outputs[1].square().sum() + outputs[0].sum()).backward()
            exact = x.detach().double().requires_grad_()
            wanted = [ranks.exact(b.plan, exact, exact, exact)[0] for b in batches]
            (wanted[1].square().sum() + wanted[0].sum()).backward()
            self.assertLess(ranks.difference(x.grad, exact.grad), 2e-5)

    def test_checkpoint(self):
        for backend, make in contexts():

            def step(rank):
                batch = make(rank).batch(LENGTHS)
                rows = len(batch.position_ids)
                x = torch.randn(rows, 8, 16, requires_grad=True)

                def layer(y):
                    q, k, v = y.sin().split([4, 2, 2], 1)
                    return fcp.attention(q, k, v, batch.handle)

                layer(x).square().sum().backward()
                plain, x.grad = x.grad, None
                for reentrant in (False, True):
                    checkpoint(layer, x, use_reentrant=reentrant).square().sum().backward()
                    self.assertTrue(torch.equal(plain, x.grad))
                    x.grad = None

            ranks.in_threads(2, step)

    def test_autocast(self):
        options = {"heads": (4, 2), "head_dim": 16, "dtype": torch.bfloat16}
        batch = fcp.ContextParallel(None, **options).batch(LENGTHS)
        x = torch.randn(sum(LENGTHS), 8, 16, requires_grad=True)
        q, k, v = x.split([4, 2, 2], 1)
        for operator in OPERATORS:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                o = fcp.attention(q, k, v, batch.handle, operator=operator)
            self.assertEqual(o.dtype, torch.bfloat16)
            o.float().sum().backward()
        self.assertEqual(x.grad.dtype, torch.float32)
        with self.assertRaisesRegex(TypeError, "torch.float32"):
            fcp.attention(q, k, v, batch.handle)

    def test_several_masks_share_rows(self):
        masks = {"full": "causal", "local": "window:7"}
        for backend, make in contexts(masks=masks):
            plans = make(0).compile(LENGTHS)
            inputs = ranks.tensors(plans["full"])

            def step(rank):
                batch = make(rank).batch(LENGTHS)
                q, k, v, _ = (batch.shard(x) for x in inputs)
                return [fcp.attention(q, k, v, batch.handle, name) for name in masks]

            got = ranks.to_global(plans["full"], ranks.in_threads(2, step))
            for name, o in zip(masks, got):
                want = ranks.exact(plans[name], *(x.double() for x in inputs[:3]))[0]
                self.assertLess(ranks.difference(o, want), 2e-5, name)

    def test_flashcp_attention_takes_torch_tensors(self):
        plan = flashcp.compile(
            LENGTHS, ranks=1, heads=(4, 2), head_dim=16, dtype="f32", cluster="cpu"
        )
        group = flashcp.Group.threads(1)
        inputs = ranks.tensors(plan)
        leaves = [x.clone().requires_grad_() for x in inputs[:3]]
        o, lse = flashcp.attention(*leaves, plan, group, return_lse=True)
        o.backward(inputs[3])
        order = torch.from_numpy(plan.token_indices(0)).argsort()
        self.assertTrue(torch.equal(order, torch.arange(plan.tokens)), "one rank keeps the order")
        for a, b in zip([o, lse, *(x.grad for x in leaves)], ranks.exact_step(plan, *inputs)):
            self.assertLess(ranks.difference(a.detach(), b), 2e-5)


class Companions(unittest.TestCase):
    def test_labels_are_shifted_within_documents(self):
        for row_multiple in (1, 16):
            for backend, make in contexts(row_multiple=row_multiple):
                total = sum(LENGTHS)
                tokens = torch.arange(1000, 1000 + total)

                def step(rank):
                    batch = make(rank).batch(LENGTHS, {"tokens": tokens})
                    labels = batch.next_token_labels(batch.tokens)
                    skipped = batch.next_token_labels(batch.tokens, ahead=2)
                    names = {"tokens": batch.tokens, "labels": labels, "later": skipped}
                    local = batch.shard(names, fill={"tokens": 7, "later": -100})
                    if row_multiple > 1:
                        self.assertEqual(len(batch.position_ids) % row_multiple, 0)
                    self.assertEqual(batch.label_count(), int((local["labels"] >= 0).sum()))
                    ids = batch.token_indices, batch.document_ids, batch.position_ids
                    return [*local.values(), *ids], batch

                parts = ranks.in_threads(2, step)
                batch = parts[0][1]
                tokens_, labels, later, index, document, position = ranks.to_global(
                    batch.plan, [part for part, _ in parts]
                )
                self.assertTrue(torch.equal(index, torch.arange(batch.tokens_total)))
                start = 0
                for number, length in enumerate(LENGTHS):
                    rows = slice(start, start + length)
                    here = tokens[rows].tolist()
                    self.assertEqual(tokens_[rows].tolist(), here)
                    self.assertEqual(labels[rows].tolist(), here[1:] + [-100] * min(1, length))
                    self.assertEqual(later[rows].tolist(), here[2:] + [-100] * min(2, length))
                    self.assertEqual(document[rows].tolist(), [number] * length)
                    self.assertEqual(position[rows].tolist(), list(range(length)))
                    start += length
                self.assertTrue((labels[total:] == -100).all() and (later[total:] == -100).all())
                self.assertTrue((tokens_[total:] == 7).all())

    def test_roll_and_loss_mask(self):
        context = fcp.ContextParallel(None, heads=(2, 2), head_dim=16)
        batch = context.batch([4, 3])
        x = torch.arange(7)
        self.assertEqual(batch.roll(x, 1, -1).tolist(), [-1, 0, 1, 2, -1, 4, 5])
        self.assertEqual(batch.roll(x, -2, -1).tolist(), [2, 3, -1, -1, 6, -1, -1])
        self.assertEqual(batch.roll(x, 9, -1).tolist(), [-1] * 7)
        mask = torch.tensor([1, 1, 0, 1, 1, 1, 0])
        labels = batch.next_token_labels(x, loss_mask=mask)
        self.assertEqual(labels.tolist(), [1, -100, 3, -100, 5, -100, -100])
        with self.assertRaisesRegex(ValueError, "has 6 rows, and the batch has 7"):
            batch.shard(x[:6])

    def test_sequence_order_and_its_gradient(self):
        """A causal convolution over the pack, run in runs of the ranks, equals one process's."""
        weight = torch.randn(3, dtype=torch.float64)
        for size in (1, 3):
            for backend, make in contexts(size):
                total = sum(LENGTHS)
                x = torch.randn(total, 5, dtype=torch.float64)
                dy = torch.randn(total, 5, dtype=torch.float64)

                def convolve(rows, documents):
                    shifted = [rows[2 - i : len(rows) - i] for i in range(3)]
                    same = [documents[2 - i : len(rows) - i] == documents[2:] for i in range(3)]
                    return sum(w * r * s[:, None] for w, r, s in zip(weight, shifted, same))

                def step(rank):
                    batch = make(rank).batch(LENGTHS)
                    local = batch.shard(x).requires_grad_()
                    runs = batch.to_sequence_order(local, halo=2)
                    y = batch.from_sequence_order(convolve(runs, batch.sequence_ids(2)[0]))
                    y.backward(batch.shard(dy))
                    back = batch.from_sequence_order(batch.to_sequence_order(local))
                    self.assertTrue(torch.equal(back, local))
                    return [y.detach(), local.grad]

                plan = make(0).compile(LENGTHS)["causal"]
                y, dx = ranks.to_global(plan, ranks.in_threads(size, step))
                whole = x.clone().requires_grad_()
                lengths = torch.tensor(LENGTHS)
                documents = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
                nothing = torch.full((2,), -1)
                padded = torch.cat([x.new_zeros(2, 5), whole])
                want = convolve(padded, torch.cat([nothing, documents]))
                want.backward(dy)
                self.assertLess(ranks.difference(y, want.detach()), 1e-12)
                self.assertLess(ranks.difference(dx, whole.grad), 1e-12)

    def test_steps_plan_ahead_and_keep_batches(self):
        for backend, make in contexts():
            samples = [{"lengths": [20 + i, 5], "tokens": torch.arange(25 + i)} for i in range(5)]

            def step(rank):
                context = make(rank)
                seen = []
                with context.planner(lookahead=2) as planner:
                    for micros in planner.steps(samples, accumulate=2):
                        seen.append([batch.tokens_total for batch in micros])
                        count = fcp.all_reduce_count(micros, context)
                        labels = [
                            b.shard({"labels": b.next_token_labels(b.tokens)}) for b in micros
                        ]
                        again = fcp.all_reduce_count([x["labels"] for x in labels], context)
                        self.assertEqual(count, sum(batch.tokens_total - 2 for batch in micros))
                        self.assertEqual(count, again)
                self.assertEqual(seen, [[25, 26], [27, 28], [29]])

            ranks.in_threads(2, step)

    def test_a_batch_of_nothing(self):
        batch = fcp.ContextParallel(None, heads=(2, 2), head_dim=16).batch([0])
        x = torch.zeros(0, 2, 16, dtype=torch.bfloat16, requires_grad=True)
        fcp.attention(x, x, x, batch.handle).sum().backward()
        self.assertEqual(x.grad.shape, (0, 2, 16))
        self.assertEqual(fcp.all_reduce_count([batch], batch._context), 1)


if __name__ == "__main__":
    unittest.main()
