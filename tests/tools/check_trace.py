"""Checks what `flashcp run --trace` wrote: check_trace.py FILE PLAN RANKS PASS..."""

import collections
import json
import socket
import subprocess
import sys

path, plan, ranks, passes = sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.argv[4:])
trace = json.load(open(path))
plan_hash = json.loads(subprocess.check_output(["flashcp", "inspect", "--json", plan]))["hash"]
hosts = [socket.gethostname()] * ranks
assert trace["otherData"] == {"plan_hash": plan_hash, "hosts": hosts}, trace["otherData"]
events = trace["traceEvents"]
labels = {e["pid"]: e["args"]["labels"] for e in events if e["name"] == "process_labels"}
assert labels == dict(enumerate(hosts)), labels
names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
assert processes == {rank: f"rank {rank}" for rank in range(ranks)}, processes

spans = [e for e in events if e["ph"] == "X"]
assert {e["cat"] for e in spans} == passes, passes
assert min(e["ts"] for e in spans) == 0
passes_of = collections.defaultdict(set)
for e in spans:
    passes_of[e["name"]].add(e["cat"])
    if not e["name"].startswith(("clear gradients", "store gradients")):
        assert e["args"].get("tiles", 0) + e["args"].get("messages", 0) > 0, e
assert all(len(p) == 1 for p in passes_of.values()), passes_of
lanes = collections.defaultdict(list)
for e in spans:
    assert e["dur"] >= 0
    lanes[e["pid"], e["tid"]].append((e["ts"], e["ts"] + e["dur"], e["name"]))
for rank in range(ranks):
    assert {"compute", "communication"} <= {n for (pid, _), n in names.items() if pid == rank}
for lane, found in lanes.items():
    assert lane in names, lane
    found.sort()
    for (_, end, _), (begin, _, name) in zip(found, found[1:]):
        assert end <= begin + 0.001, (lane, name)  # rounding of doubles

sent = sum(e["args"].get("send_bytes", 0) for e in spans if e["name"].startswith("exchange"))
received = sum(e["args"].get("receive_bytes", 0) for e in spans if e["name"].startswith("exchange"))
assert sent == received > 0, (sent, received)
print("trace ok:", len(passes), "passes")
