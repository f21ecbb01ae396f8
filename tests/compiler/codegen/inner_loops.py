"""Reads assembly and prints what the innermost loops that multiply hold.

One line for each width and number of multiply-adds: how many such loops there
are, and how many of their instructions use the stack.
"""
import collections
import re
import sys


def innermost_loops(lines):
    labels = {}
    for i, line in enumerate(lines):
        label = re.match(r"(\.LBB\d+_\d+):", line)
        if label:
            labels[label.group(1)] = i
        jump = re.match(r"\s+j\w+\s+(\.LBB\d+_\d+)", line)
        if jump and jump.group(1) in labels:
            body = lines[labels[jump.group(1)] + 1 : i + 1]
            if not any(x.startswith(".LBB") for x in body):
                yield body


loops = collections.Counter()
on_stack = collections.Counter()
assembly = sys.stdin.read()
# A register like any other, unless functions keep their frame in it.
stack = r"\(%rsp|\(%rbp" if "%rsp, %rbp" in assembly else r"\(%rsp"
for body in innermost_loops(assembly.split("\n")):
    multiplies = [x for x in body if re.match(r"\s+(vfmadd231ps|vdpbf16ps)\s", x)]
    # The polynomial of exp2 uses other forms of vfmadd, and loops over it are not products.
    if len(multiplies) < 12 or any("vmulps" in x for x in body):
        continue
    width = "zmm" if "zmm" in multiplies[0] else "ymm"
    key = f"{multiplies[0].split()[0]} {width} x {len(multiplies)}"
    loops[key] += 1
    on_stack[key] += sum(bool(re.search(stack, x)) for x in body)
for key in sorted(loops):
    print(f"{key}: {loops[key]} loops, {on_stack[key]} uses of the stack")
