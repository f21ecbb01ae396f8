#!/usr/bin/env python3
"""How far placements are from the exact optimum, on instances small enough for an exact solver.

Reads the JSON of planner_benchmark on distribution cells-32 (documents of whole 32nds of the
sequence) and solves each sequence as a mixed-integer linear program with HiGHS: which rank owns
each of the 32 cells, for the shortest modelled step. HiGHS returns a placement and a proven bound
(the dual bound): a ratio to the bound overstates the distance to the optimum. `auto` may cut
documents inside a cell, so a ratio may be below 1.

The program holds the cost model of compiler/solver/cost_model.h with exchange needed, causal
documents and no latency; its minimum is over placements of whole cells. Times are modelled.

    planner_benchmark --cluster h100-ib8 --ranks 4 --tokens 8192 --distribution cells-32 \
        --sequences 9 --no-latency --candidates flashcp-paper auto --json small.json
    python3 benchmarks/milp_check.py small.json

Needs Debian's python3-scipy. Not part of the test suite: a sequence may take the time limit.
"""

import argparse
import json
import math
import sys

try:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_matrix
except ImportError as error:  # main says so, behind --help
    np = None
    missing = error.name

CELLS = 32
BLOCK = 128  # tokens, rows and keys of a tile
TILE_US = 0.447  # of the H100 presets: 32 heads of dimension 128
OVERHEAD_TILES = 2  # for each block of rows
BACKWARD = 2.5  # compute time over forward
KV_BYTES = 4096  # of a token: 8 heads of dimension 128, K and V, bf16


class Program:
    """Variables with bounds and rows low <= sum(coefficient * variable) <= high."""

    def __init__(self):
        self.upper = []
        self.integer = []
        self.objective = []
        self.rows = []
        self.low = []
        self.high = []

    def variables(self, shape, upper, integer=False, objective=0.0):
        first = len(self.upper)
        count = int(np.prod(shape))
        self.upper += [upper] * count
        self.integer += [int(integer)] * count
        self.objective += [objective] * count
        return np.arange(first, first + count).reshape(shape)

    def row(self, terms, low, high=math.inf):
        merged = {}
        for variable, coefficient in terms:
            merged[variable] = merged.get(variable, 0.0) + coefficient
        self.rows.append(merged)
        self.low.append(low)
        self.high.append(high)

    def solve(self, time_limit):
        entries = [(i, j, a) for i, row in enumerate(self.rows) for j, a in row.items()]
        rows, columns, values = zip(*entries)
        matrix = coo_matrix((values, (rows, columns)), (len(self.rows), len(self.upper)))
        return milp(self.objective,
                    constraints=LinearConstraint(matrix.tocsr(), self.low, self.high),
                    integrality=self.integer, bounds=Bounds(0, self.upper),
                    options={"time_limit": time_limit, "mip_rel_gap": 1e-3})


def cell_compute_us(begin, cell):
    """Forward compute of the causal queries [begin, begin + cell); both are whole blocks."""
    blocks = range(begin // BLOCK, (begin + cell) // BLOCK)
    return TILE_US * sum(block + 1 + OVERHEAD_TILES for block in blocks)


def build(lengths, ranks, cell, transfer_us):
    """The program of one sequence. transfer_us: time of one cell's K and V on a link."""
    program = Program()
    cells = [(d, i) for d, length in enumerate(lengths) for i in range(length // cell)]
    index = {key: c for c, key in enumerate(cells)}
    owns = program.variables((len(cells), ranks), 1, integer=True)
    needs = program.variables((len(cells), ranks), 1)  # a rank has the K/V of a cell
    sends = program.variables((len(cells), ranks), ranks - 1)  # copies that an owner sends
    forward = program.variables((), np.inf, objective=1.0).item()
    backward = program.variables((), np.inf, objective=1.0).item()

    for c, (d, i) in enumerate(cells):
        program.row([(owns[c, r], 1) for r in range(ranks)], 1, 1)
        for r in range(ranks):
            program.row([(needs[c, r], 1), (owns[c, r], -1)], 0)
            if (d, i + 1) in index:  # who sees a later key sees this one
                program.row([(needs[c, r], 1), (needs[index[d, i + 1], r], -1)], 0)
            # Copies count only where r owns the cell: ranks - 1 is the most there can be.
            program.row([(sends[c, r], 1), (owns[c, r], 1 - ranks)] +
                        [(needs[c, q], -1) for q in range(ranks)], -ranks)
    for r in range(ranks):
        program.row([(owns[c, r], 1) for c in range(len(cells))],
                    len(cells) // ranks, len(cells) // ranks)
        compute = [(owns[c, r], -cell_compute_us(i * cell, cell))
                   for c, (_, i) in enumerate(cells)]
        received = [(needs[c, r], -transfer_us) for c in range(len(cells))]
        received += [(owns[c, r], transfer_us) for c in range(len(cells))]
        sent = [(sends[c, r], -transfer_us) for c in range(len(cells))]
        program.row([(forward, 1)] + compute, 0)
        program.row([(forward, 1)] + received, 0)
        program.row([(forward, 1)] + sent, 0)
        program.row([(backward, 1)] + [(v, BACKWARD * a) for v, a in compute], 0)
        program.row([(backward, 1)] + received + sent, 0)
    break_symmetry(program, owns, cells, lengths)
    return program


def break_symmetry(program, owns, cells, lengths):
    """Ranks are alike: names them in the order of their first cell, last cells of long documents
    first."""
    order = sorted(range(len(cells)), key=lambda c: (-lengths[cells[c][0]], cells[c][0],
                                                     -cells[c][1]))
    for k, c in enumerate(order):
        for r in range(1, owns.shape[1]):
            program.row([(owns[c, r], -1)] + [(owns[e, r - 1], 1) for e in order[:k]], 0)


def link_of(case):
    inside = case["ranks"] <= case["ranks_per_node"]
    link = case["intra_node" if inside else "inter_node"]
    if not inside and case["ranks_per_node"] > 1:
        sys.exit("milp_check.py: knows one class of links, found ranks on several nodes: use "
                 "--cluster h100-ib8, or no more ranks than a node has")
    if link["latency_us"] != 0:
        sys.exit("milp_check.py: knows no latency: run planner_benchmark with --no-latency")
    return link


def check_case(case, candidate, time_limit):
    """Prints one line per sequence; returns the ratios of modelled step to proven bound."""
    cell = case["tokens"] // CELLS
    if case["tokens"] % (CELLS * BLOCK) or CELLS % case["ranks"]:
        sys.exit(f"milp_check.py: needs cells of whole blocks and whole cells per rank: tokens a "
                 f"multiple of {CELLS * BLOCK}, ranks a divisor of {CELLS}")
    transfer_us = cell * KV_BYTES / link_of(case)["bytes_per_us"]
    print(f"{case['ranks']} ranks of {case['cluster']}, {case['tokens']} tokens, no latency; "
          f"modelled steps, ms")
    print("   MILP   bound  formula     ours  ours/bound  documents (cells)")
    ratios = []
    for sequence in case["sequences"]:
        lengths = sequence["lengths"]
        if any(length % cell for length in lengths):
            sys.exit("milp_check.py: a document is no whole number of cells: use --distribution "
                     "cells-32")
        program = build(lengths, case["ranks"], cell, transfer_us)
        result = program.solve(time_limit)
        if result.x is None:
            sys.exit(f"milp_check.py: HiGHS found no placement in {time_limit:g} s")
        ours = sequence["modelled_step_ms"][candidate]
        bound = result.mip_dual_bound / 1e3
        ratios.append(ours / bound)
        print(f"{result.fun / 1e3:7.3f} {bound:7.3f}  {sequence['modelled_lower_bound_ms']:7.3f} "
              f"{ours:8.3f}  {ratios[-1]:10.4f}  {[length // cell for length in lengths]}",
              flush=True)
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="JSON of planner_benchmark")
    parser.add_argument("--candidate", default="auto")
    parser.add_argument("--time-limit", type=float, default=60, help="seconds for each sequence")
    parser.add_argument("--mean", type=float, default=1.03, help="largest mean ratio that passes")
    parser.add_argument("--max", type=float, default=1.10, help="largest ratio that passes")
    arguments = parser.parse_args()
    if np is None:
        parser.error(f"no module {missing}; apt-get install python3-scipy")
    try:
        with open(arguments.results) as file:
            cases = json.load(file)["cases"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{arguments.results}: no results of planner_benchmark --json: {error}")
    ratios = []
    for case in cases:
        ratios += check_case(case, arguments.candidate, arguments.time_limit)
    print(f"ours/bound: mean {np.mean(ratios):.4f}, max {max(ratios):.4f} of {len(ratios)}")
    return int(np.mean(ratios) > arguments.mean or max(ratios) > arguments.max)


if __name__ == "__main__":
    sys.exit(main())
