"""Ranks of backend "torch" as threads of which one runs at a time, with queues for messages.

Threads that compute at once wait for each other at every operation, since PyTorch gives up and
takes back the interpreter's lock there: taking turns halves the CPU time, so that thousands of
plans can be run.
"""

import threading
from collections import defaultdict, deque


class Mail:
    """The messages between the ranks of one plan."""

    def __init__(self, size):
        self.turn = threading.Lock()
        self.arrived = [threading.Condition(self.turn) for _ in range(size)]
        self.queues = defaultdict(deque)


class Channel:
    """What flashcp.torch's Channel is, for a rank that holds the turn."""

    def __init__(self, mail, rank):
        self._mail = mail
        self.rank, self.size = rank, len(mail.arrived)

    def post(self, sends, receives):
        for tensor, peer, tag in sends:
            self._mail.queues[self.rank, peer, tag].append(tensor)
            self._mail.arrived[peer].notify()
        return [
            _Receive(self._mail.queues[peer, self.rank, tag], self._mail.arrived[self.rank], tensor)
            for tensor, peer, tag in receives
        ]


class _Receive:
    def __init__(self, queue, arrived, tensor):
        self._queue, self._arrived, self._tensor = queue, arrived, tensor

    def is_completed(self):
        return bool(self._queue)

    def wait(self):
        """Passes the turn on until the message is there."""
        while not self._queue:
            assert self._arrived.wait(timeout=60), "a message does not come"
        self._tensor.copy_(self._queue.popleft())
