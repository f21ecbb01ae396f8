"""check_inspect.py FILE [--timing]: what `inspect --json [--timing]` promises, for the 128K example on 8 ranks."""
import json
import struct
import sys

plan = json.load(open(sys.argv[1]))
ranks = plan["per_rank"]

assert plan["ranks"] == 8 and plan["tokens"] == 131072 and plan["dtype"] == "bf16"
assert plan["scale"] == struct.unpack("f", struct.pack("f", 128**-0.5))[0]
assert plan["heads"] == {"q": 32, "kv": 8, "dim": 128}
assert plan["version"] == 6 and len(plan["hash"]) == 16
assert [r["rank"] for r in ranks] == list(range(8))
for r in ranks:
    assert r["tokens"] == 16384
    assert sum(x["end"] - x["begin"] for x in r["layout"]) == r["tokens"]
    assert r["segments"] == len(r["layout"])
    assert r["peak_bytes"] > r["tokens"] * (2 * 32 + 2 * 8) * 128 * 2
    assert 0 < r["workspace_bytes"] < r["peak_bytes"]
assert plan["workspace_limit_bytes"] == 8000000000 and plan["head_groups"] >= 1 and plan["row_stages"] >= 1
assert plan["cpu_scratch_bytes"] >= 0

# Every token has one owner, and every pair of the causal masks is computed once.
spans = sorted((x["document"], x["begin"], x["end"]) for r in ranks for x in r["layout"])
lengths = {}
for document, begin, end in spans:
    assert begin == lengths.get(document, 0)
    lengths[document] = end
assert sum(lengths.values()) == plan["tokens"]
assert sum(r["pairs"] for r in ranks) == sum(n * (n + 1) // 2 for n in lengths.values())

# What is sent is received; totals are those of the ranks.
for phase in ("forward", "backward"):
    received = [r["recv_bytes_" + phase] for r in ranks]
    assert sum(received) == sum(r["send_bytes_" + phase] for r in ranks)
assert plan["recv_bytes_total"] == sum(r["recv_bytes_forward"] for r in ranks)
assert plan["recv_bytes_max"] == max(r["recv_bytes_forward"] for r in ranks)
mean = sum(r["pairs"] for r in ranks) / 8
assert abs(plan["work_imbalance"] - max(r["pairs"] for r in ranks) / mean) < 1e-9
assert plan["token_imbalance"] == 1

modelled = plan["modelled"]
assert abs(modelled["step_ms"] - modelled["forward_ms"] - modelled["backward_ms"]) < 1e-9
assert 0 < modelled["lower_bound_ms"] <= modelled["step_ms"] * (1 + 1e-9)
bounds = [modelled[kind + "_bound_ms"] for kind in ("compute", "communication", "combined")]
assert max(bounds) == modelled["lower_bound_ms"]

# Planning again takes time: only if asked. Each message has two ends.
if sys.argv[2:] == ["--timing"]:
    assert plan["planning_ms"] > 0
else:
    assert plan["planning_ms"] is None
assert sum(r["messages"] for r in ranks) % 2 == 0
