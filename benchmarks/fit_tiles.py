#!/usr/bin/env python3
"""Fits the tile table of a GPU to measured attention kernels, and prints how well it fits.

The cost model lets a block of 128 query rows pay for every block of 128 keys that it touches:
t(keys) = rows_us + key_us * blocks, for one head of dimension 128. Both numbers are found by least
squares on relative errors, which weighs short and long sequences alike.

Usage: fit_tiles.py [--tflops FILE.csv ...] [--varlen FILE.csv ...]

--tflops: columns kernel,pass,causal,head_dim and one for each sequence length: TFLOP/s, where a
  causal pass counts half of the products and a backward pass 2.5 times the forward one.
--varlen: columns q_len,kv_len,n_docs,total_ms of forward passes over equal documents, 64 heads of
  dimension 128; queries are the last q_len of kv_len tokens.
"""

import argparse
import csv
import math

BLOCK = 128
DIM = 128
VARLEN_HEADS = 64


def blocks_of(queries, keys, causal):
    """Row blocks and key blocks that they touch, where queries are the last ones of `keys`."""
    rows = -(-queries // BLOCK)
    if not causal:
        return rows, rows * -(-keys // BLOCK)
    first = keys - queries
    ends = [min(first + (i + 1) * BLOCK, keys) for i in range(rows)]
    return rows, sum(-(-end // BLOCK) for end in ends)


def length_of(name):
    return int(name[:-1]) * 1024 if name.endswith("k") else int(name)


def tflops_series(path):
    """{(kernel, pass, causal): [(label, rows, keys, us)]} for heads of dimension 128."""
    series = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["head_dim"] != str(DIM):
                continue
            causal = row["causal"] == "1"
            points = []
            for name in list(row)[4:]:
                length = length_of(name)
                flop = 4 * length * length * DIM / (2 if causal else 1)
                flop *= 2.5 if row["pass"] == "bwd" else 1
                rows, keys = blocks_of(length, length, causal)
                points.append((name, rows, keys, flop / float(row[name]) / 1e6))
            label = f"{row['kernel']} {row['pass']} {'causal' if causal else 'full'}"
            series[label] = points
    return series


def varlen_series(path):
    points = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            queries, keys = int(row["q_len"]), int(row["kv_len"])
            rows, blocks = blocks_of(queries, keys, True)
            heads = int(row["n_docs"]) * VARLEN_HEADS
            points.append((f"{queries}x{keys}", rows, blocks, float(row["total_ms"]) * 1e3 / heads))
    return {"varlen fwd causal": points}


def fit(points):
    """rows_us and key_us that minimise the sum of squares of relative errors."""
    rr = rk = kk = r1 = k1 = 0.0
    for _, rows, keys, us in points:
        r, k = rows / us, keys / us
        rr, rk, kk, r1, k1 = rr + r * r, rk + r * k, kk + k * k, r1 + r, k1 + k
    det = rr * kk - rk * rk
    return (r1 * kk - k1 * rk) / det, (rr * k1 - rk * r1) / det


def errors(points, table):
    return [(label, (table[0] * rows + table[1] * keys) / us - 1)
            for label, rows, keys, us in points]


def report(label, points, analytic):
    rows_us, key_us = fit(points)
    peak = 4 * BLOCK * BLOCK * DIM * (2.5 if " bwd " in label else 1) / key_us / 1e6
    print(f"{label}: row block {rows_us:.6f} us + key block {key_us:.6f} us "
          f"({peak:.0f} TFLOP/s, a row block costs {rows_us / key_us:.2f} key blocks more)")
    for name, table in (("fit", (rows_us, key_us)), ("analytic", analytic)):
        found = errors(points, table)
        rms = math.sqrt(sum(e * e for _, e in found) / len(found))
        worst = max(found, key=lambda e: abs(e[1]))
        print(f"  {name + ':':9} modelled/measured - 1: rms {100 * rms:.1f}%, "
              f"worst {100 * worst[1]:+.1f}% at {worst[0]}")
        if len(found) <= 12:
            print("   ", "  ".join(f"{label} {100 * e:+.1f}%" for label, e in found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tflops", nargs="*", default=[])
    parser.add_argument("--varlen", nargs="*", default=[])
    parser.add_argument("--least-queries", type=int, default=128,
                        help="varlen points with fewer queries are left out of the fit")
    arguments = parser.parse_args()
    series = {}
    for path in arguments.tflops:
        series.update(tflops_series(path))
    for path in arguments.varlen:
        for label, points in varlen_series(path).items():
            kept = [p for p in points if int(p[0].split("x")[0]) >= arguments.least_queries]
            series[label] = kept
    for label, points in series.items():
        # 600 TFLOP/s and two blocks of overhead: what the study assumed of FlashAttention-3.
        key_us = 0.447 / 32 * (2.5 if " bwd " in label else 1)
        report(label, points, (2 * key_us, key_us))


if __name__ == "__main__":
    main()
