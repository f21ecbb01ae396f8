#!/usr/bin/env python3
"""Turns the JSON of planner_benchmark into the Markdown tables of docs/performance.md."""

import argparse
import json

TITLES = {
    "auto": "**`auto`**",
    "magi-512": "MagiAttention min-heap, 512",
    "magi-2048": "MagiAttention min-heap, 2048",
    "ptrr": "PTRR, needed rows",
    "zigzag-gather": "zigzag, all-gather (Llama 3)",
    "per-doc-gather": "per-doc, all-gather (WLB-LLM)",
    "ptrr-gather": "PTRR, all-gather (PyTorch)",
}


def percent(ratio):
    over = 100 * (ratio - 1)
    return f"{over:.2f}" if over < 10 else f"{over:.0f}"


def step_cell(row):
    return (f"{row['modelled_step_ms']:.2f} ({percent(row['modelled_step_over_bound_mean'])}; "
            f"{row['kv_forward_total_bytes'] / 1e9:.2f})")


def print_candidates(cases):
    """A row for each candidate, a column for each distribution."""
    print(f"| | {' | '.join(case['distribution'] for case in cases)} | planning, ms |")
    print("|---|" + "---|" * (len(cases) + 1))
    for name in cases[0]["candidates"]:
        rows = [case["candidates"][name] for case in cases]
        planning = sum(row["measured_planning_ms_median"] for row in rows) / len(rows)
        print(f"| {TITLES.get(name, f'`{name}`')} | {' | '.join(map(step_cell, rows))} | "
              f"{planning:.2f} |")
    bounds = [f"{case['modelled_lower_bound_ms']:.2f}" for case in cases]
    print(f"| lower bound | {' | '.join(bounds)} | |")


def print_auto(cases):
    """What `auto` is held to, a row for each distribution."""
    print("| `auto` | % over bound, mean (max) | speedup over `flashcp-paper` | over `zigzag` | "
          "K/V against `flashcp-paper` | step without overlap, ms | work, token imbalance |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        row = case["candidates"]["auto"]
        print(f"| {case['distribution']} | {percent(row['modelled_step_over_bound_mean'])} "
              f"({percent(row['modelled_step_over_bound_max'])}) | "
              f"{row['modelled_speedup_over_flashcp_paper']:.3f} | "
              f"{row['modelled_speedup_over_zigzag']:.3f} | {row['kv_over_flashcp_paper']:.3f} | "
              f"{row['modelled_serial_step_ms']:.2f} | {row['work_imbalance']:.3f}, "
              f"{row['token_imbalance']:.3f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", metavar="RESULTS.json", type=argparse.FileType(),
                        help="what planner_benchmark --json wrote")
    cases = json.load(parser.parse_args().results)["cases"]
    print_candidates(cases)
    print()
    print_auto(cases)


if __name__ == "__main__":
    main()
