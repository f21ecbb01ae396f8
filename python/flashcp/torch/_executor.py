"""Executes one rank of a plan on PyTorch tensors: any device, over a ProcessGroup.

The plan says everything: which rows travel, which tiles are computed in which order, what waits for
what. Exchanges are started as soon as what they wait for is done, and waited for where a step says
so; all arithmetic runs in the order of the compute stream, so that gradients are the same bits in
every run. docs/plan.md has the meaning of each instruction.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch

from flashcp.tables import BufferKind, Opcode
from flashcp.torch._calls import Attend, Call, make_attend
from flashcp.torch._channel import Channel, Post
from flashcp.torch._program import GRADIENT_TAG, Message, Part, Program, Step
from flashcp.torch.providers import Provider, _finite

# What to do for each work of an exchange when it is done.
Posted = Tuple[List[Any], List[Callable[[], None]]]
Tensors = Tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class TorchExecutor:
    """One rank of one plan. Serves all layers and both passes; passes follow each other, in the
    same order on all ranks."""

    def __init__(self, plan: Any, channel: Channel, provider: Provider, device: torch.device):
        """ValueError if the group does not have the plan's ranks. Talks to nobody."""
        if channel.size != plan.ranks:
            raise ValueError(
                f"the plan is for {plan.ranks} ranks, and the group has {channel.size}"
            )
        self.program = Program(plan, channel.rank, device)
        self._channel, self._provider, self._device = channel, provider, device
        self._attends = self._make_attends(self.program.forward, Opcode.ATTEND)
        self._attends_backward = self._make_attends(self.program.backward, Opcode.ATTEND_BACKWARD)

    def _make_attends(self, steps: Sequence[Step], opcode: Opcode) -> Dict[range, Attend]:
        """The work of each attend of a program, by its tiles; rounds share it."""
        program, attends = self.program, {}
        for step in steps:
            if step.opcode == opcode and step.entries not in attends:
                attends[step.entries] = make_attend(
                    program.tiles[step.entries.start : step.entries.stop],
                    program.query_heads // program.kv_heads,
                    self._provider,
                    program.tokens,
                    self._device,
                )
        return attends

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Tensors:
        """Returns o like q, lse [tokens, heads] f32, and the saved memory that backward reads.

        q [tokens, heads, dim], k and v [tokens, kv heads, dim], rows in the order of the layout;
        the last dimension dense, strides of the others as they are.
        """
        program = self.program
        o = q.new_zeros(q.shape)
        lse = q.new_full(q.shape[:2], float("-inf"), dtype=torch.float32)
        saved = q.new_empty(program.saved_bytes, dtype=torch.uint8)
        workspace = q.new_empty(program.workspace_bytes, dtype=torch.uint8)
        kinds = BufferKind
        tensors = {kinds.QUERY: q, kinds.KEY: k, kinds.VALUE: v, kinds.OUTPUT: o, kinds.LSE: lse}
        _Forward(self, _Views(program, tensors, workspace, saved)).run(program.forward)
        return o, lse, saved

    def backward(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        o: torch.Tensor,
        lse: torch.Tensor,
        saved: torch.Tensor,
        do: torch.Tensor,
    ) -> Tensors:
        """Returns dq, dk, dv, from what forward took and returned and the gradient of o."""
        program = self.program
        dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        if not program.backward:  # a rank without tiles and messages
            return dq.zero_(), dk.zero_(), dv.zero_()
        workspace = q.new_empty(program.backward_workspace_bytes, dtype=torch.uint8)
        kinds = BufferKind
        tensors = {kinds.QUERY: q, kinds.KEY: k, kinds.VALUE: v, kinds.OUTPUT: o, kinds.LSE: lse}
        tensors[kinds.OUTPUT_GRADIENT] = do
        tensors[kinds.QUERY_GRADIENT], tensors[kinds.KEY_GRADIENT] = dq, dk
        tensors[kinds.VALUE_GRADIENT] = dv
        _Backward(self, _Views(program, tensors, workspace, saved)).run(program.backward)
        return dq, dk, dv


class _Views:
    """The buffers of a pass as tensors, by round."""

    def __init__(
        self,
        program: Program,
        tensors: Dict[BufferKind, torch.Tensor],
        workspace: torch.Tensor,
        saved: torch.Tensor,
    ) -> None:
        self._program, self._tensors = program, tensors
        self._workspace, self._saved = workspace, saved
        self._made: Dict[Tuple[int, int], torch.Tensor] = {}

    def __call__(self, buffer: int, round_: int) -> torch.Tensor:
        """[rows, heads of a round, dim]; LSE and delta [rows, heads of a round]."""
        view = self._made.get((buffer, round_))
        if view is None:
            entry = self._program.buffers[buffer]
            if entry.caller:
                view = entry.of_round(self._tensors[entry.kind], round_)
            else:
                view = entry.view(self._saved if entry.saved else self._workspace, round_)
            self._made[buffer, round_] = view
        return view


class _Pass:
    """Runs the steps of a pass. Subclasses have a method for each opcode: of an exchange it returns
    what was posted."""

    def __init__(self, executor: TorchExecutor, views: _Views) -> None:
        self.executor, self.views = executor, views
        self.program, self.channel = executor.program, executor._channel
        self._open: Dict[int, Posted] = {}
        self._done: set = set()

    def run(self, steps: Sequence[Step]) -> None:
        self._exchanges = [step for step in steps if step.exchanges]
        self._exchanges.reverse()  # the next one is the last
        for step in steps:
            if step.exchanges:
                continue
            self._start_ready()
            for wait in step.waits:
                while wait not in self._done and wait not in self._open:
                    self._start_next()
                self._finish(wait)
            self._do(step)
            self._done.add(step.number)
        while self._exchanges:
            self._start_next()
        for number in list(self._open):
            self._finish(number)

    def _do(self, step: Step) -> Any:
        return getattr(self, step.opcode.name.lower())(step)

    def _start_ready(self) -> None:
        """Starts exchanges, in order, as far as what they wait for is done."""
        while self._exchanges and all(self._is_done(w) for w in self._exchanges[-1].waits):
            self._start_next()

    def _is_done(self, number: int) -> bool:
        if number in self._done:
            return True
        return number in self._open and all(work.is_completed() for work in self._open[number][0])

    def _start_next(self) -> None:
        """Starts the next exchange, after waiting for what it waits for."""
        step = self._exchanges.pop()
        for wait in step.waits:
            self._finish(wait)
        self._open[step.number] = self._do(step)

    def _finish(self, number: int) -> None:
        if number in self._done:
            return
        works, deliveries = self._open.pop(number)
        for work in works:
            work.wait()
        for deliver in deliveries:
            deliver()
        self._done.add(number)

    # ---- Messages

    def _part(self, part: Part, buffer: int, round_: int) -> torch.Tensor:
        """The heads of a part in all rows of a buffer with the rows of the part's."""
        return self.views(buffer, round_)[:, part.heads]

    def _gather(
        self, parts: Sequence[Part], buffer_of: Callable[[int], int], round_: int
    ) -> torch.Tensor:
        """The payload of parts: part after part, row after row."""
        rows = [
            part.rows.get(self._part(part, buffer_of(part.buffer), round_)).reshape(-1)
            for part in parts
        ]
        return torch.cat(rows)  # a copy in any case: the payload outlives what follows

    def _exchange(self, step: Step, parts_of: Callable[[Message], List[Part]]) -> Posted:
        """Posts K and V rows of the messages of a step."""
        sends: List[Post] = []
        receives: List[Post] = []
        deliveries: List[Callable[[], None]] = []
        for index in step.entries:
            message = self.program.messages[index]
            parts = parts_of(message)
            if not parts:
                continue
            tag = message.tag + step.round * message.tag_step
            if message.sends:
                payload = self._gather(parts, lambda buffer: buffer, step.round)
                sends.append((payload, message.peer, tag))
            else:
                payload = self._empty(sum(part.count for part in parts))
                receives.append((payload, message.peer, tag))
                deliveries.append(_Delivery(self, parts, payload, step.round))
        return self.channel.post(sends, receives), [*deliveries, _Keep(sends)]

    def _empty(self, count: int) -> torch.Tensor:
        return torch.empty(count, dtype=self.program.dtype, device=self.executor._device)


class _Delivery:
    """Puts a received payload into its rows."""

    def __init__(self, pass_: _Pass, parts: List[Part], payload: torch.Tensor, round_: int) -> None:
        self._pass, self._parts, self._payload, self._round = pass_, parts, payload, round_

    def __call__(self) -> None:
        pieces = self._payload.split([part.count for part in self._parts])
        for part, piece in zip(self._parts, pieces):
            target = self._pass._part(part, part.buffer, self._round)
            part.rows.put(target, piece.view(part.rows.count, *target.shape[1:]))


class _Keep:
    """Keeps payloads alive until their exchange is done."""

    def __init__(self, posts: Sequence[Post]) -> None:
        self._posts: Optional[Sequence[Post]] = posts

    def __call__(self) -> None:
        self._posts = None


class _Forward(_Pass):
    def exchange(self, step: Step) -> Posted:
        return self._exchange(step, lambda message: message.parts)

    def attend(self, step: Step) -> None:
        attend = self.executor._attends[step.entries]
        for rows in attend.untouched:
            call, heads = rows.call, rows.call.heads
            accumulator = self.views(call.accumulator_buffer, step.round)[rows.accumulator, heads]
            if rows.first:
                accumulator.zero_()
                self.views(call.lse_buffer, step.round)[rows.rows, heads] = float("-inf")
        for call in attend.calls:
            q, k, v = _operands(self.views, call, step.round)
            o, lse = self.executor._provider.forward(call, q, k, v, self.program.scale)
            self._merge(call, o, lse, step.round)
        for rows in attend.untouched:
            if rows.last:
                call, heads = rows.call, rows.call.heads
                accumulator = self.views(call.accumulator_buffer, step.round)
                output = self.views(call.output_buffer, step.round)
                output[rows.rows, heads] = accumulator[rows.accumulator, heads].to(output.dtype)

    def _merge(self, call: Call, o: torch.Tensor, lse: torch.Tensor, round_: int) -> None:
        """Merges a partial result into the accumulator by LSE, or writes the output."""
        totals = self.views(call.lse_buffer, round_)[:, call.heads]
        outputs = self.views(call.output_buffer, round_)[:, call.heads]
        for rows in call.results:
            part, part_lse = rows.inside.get(o), rows.inside.get(lse)
            if not (rows.first and rows.last):
                accumulators = self.views(call.accumulator_buffer, round_)[:, call.heads]
            if not rows.first:
                before = rows.tensors.get(totals)
                merged = torch.logaddexp(before, part_lse)
                base = _finite(merged)
                part = (
                    rows.accumulator.get(accumulators) * (before - base).exp()[..., None]
                    + part.float() * (part_lse - base).exp()[..., None]
                )
                part_lse = merged
            rows.tensors.put(totals, part_lse)
            if rows.last:
                rows.tensors.put(outputs, part)
            else:
                rows.accumulator.put(accumulators, part)


class _Backward(_Pass):
    def resend(self, step: Step) -> Posted:
        return self._exchange(step, lambda m: [part for part in m.parts if not part.saved])

    def clear_gradients(self, step: Step) -> None:
        kinds = BufferKind
        if step.stage == 0:
            for kind in (kinds.QUERY_SUM, kinds.KEY_SUM, kinds.VALUE_SUM):
                self._of(kind, step.round).zero_()
            o, do = self._of(kinds.OUTPUT, step.round), self._of(kinds.OUTPUT_GRADIENT, step.round)
            self._of(kinds.DELTA, step.round).copy_((o.float() * do.float()).sum(-1))
        received = (m for m in self._messages(step) if not m.sends)
        for buffer in {self.program.sum_of[part.buffer] for m in received for part in m.parts}:
            self.views(buffer, step.round).zero_()

    def attend_backward(self, step: Step) -> None:
        kinds, program = BufferKind, self.program
        tensors = (kinds.OUTPUT, kinds.OUTPUT_GRADIENT, kinds.LSE, kinds.DELTA)
        query_sum = self._of(kinds.QUERY_SUM, step.round)
        for call in self.executor._attends_backward[step.entries].calls:
            q, k, v = _operands(self.views, call, step.round)
            o, do, lse, delta = (
                self._of(kind, step.round)[call.rows, call.heads] for kind in tensors
            )
            gradients = self.executor._provider.backward(
                call, q, k, v, o, do, lse, delta, program.scale
            )
            call.query_rows.add(
                query_sum[call.rows, call.heads], call.query_rows.get(gradients[0]).float()
            )
            for buffer, gradient in zip((call.key_buffer, call.value_buffer), gradients[1:]):
                sums = self.views(program.sum_of[buffer], step.round)[call.keys, call.kv_heads]
                call.key_rows.add(sums, call.key_rows.get(gradient).float())

    def pack_gradients(self, step: Step) -> None:
        program = self.program
        for message in self._messages(step):
            for part in () if message.sends else message.parts:
                sums = self._part(part, program.sum_of[part.buffer], step.round)
                target = self._part(part, program.gradient_of[part.buffer], step.round)
                part.rows.put(target, part.rows.get(sums))

    def exchange_gradients(self, step: Step) -> Posted:
        """Messages reversed: gradients of received rows leave, those of sent rows arrive."""
        sends: List[Post] = []
        receives: List[Post] = []
        for index in step.entries:
            message = self.program.messages[index]
            tag = GRADIENT_TAG + message.tag + step.round * message.tag_step
            if message.sends:
                receives.append((self._incoming(index, step.round), message.peer, tag))
            else:
                gradient_of = self.program.gradient_of.__getitem__
                payload = self._gather(message.parts, gradient_of, step.round)
                sends.append((payload, message.peer, tag))
        return self.channel.post(sends, receives), [_Keep(sends)]

    def add_gradients(self, step: Step) -> None:
        for index in step.entries:
            message = self.program.messages[index]
            if not message.sends:
                continue
            pieces = self._incoming(index, step.round).split([p.count for p in message.parts])
            for part, piece in zip(message.parts, pieces):
                sums = self._part(part, self.program.sum_of[part.buffer], step.round)
                part.rows.add(sums, piece.view(part.rows.count, *sums.shape[1:]).float())

    def store_gradients(self, step: Step) -> None:
        for name in ("QUERY", "KEY", "VALUE"):
            sums = self._of(BufferKind[f"{name}_SUM"], step.round)
            self._of(BufferKind[f"{name}_GRADIENT"], step.round).copy_(sums)

    def _of(self, kind: BufferKind, round_: int) -> torch.Tensor:
        return self.views(self.program.find(kind), round_)

    def _messages(self, step: Step) -> List[Message]:
        return [self.program.messages[index] for index in step.entries]

    def _incoming(self, message: int, round_: int) -> torch.Tensor:
        """The payload of the gradients of a sent message, in the buffer of its exchange."""
        buffer, begin, end = self.program.incoming[message]
        return self.views(buffer, round_).view(-1)[begin:end]


def _operands(views: _Views, call: Call, round_: int) -> Tensors:
    """Queries, keys and values of a call: views of their buffers."""
    return (
        views(call.query_buffer, round_)[call.rows, call.heads],
        views(call.key_buffer, round_)[call.keys, call.kv_heads],
        views(call.value_buffer, round_)[call.keys, call.kv_heads],
    )
