"""Reads assembly and prints what the loops of products hold.

One line for each width and number of multiply-adds: how many such loops there
are, and how many of their instructions use the stack.
"""
import collections
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../benchmarks"))
from assembly_loops import find_products, fmas_of, read_function

assembly = sys.stdin.read()
# A register like any other, unless functions keep their frame in it.
stack = r".*\(%rsp|.*\(%rbp" if "%rsp, %rbp" in assembly else r".*\(%rsp"
loops = collections.Counter()
on_stack = collections.Counter()
for function in re.findall(r"^flashcp_\w+:\n(.*?)^\.Lfunc_end", assembly, re.M | re.S):
    for loop in find_products(read_function(function.split("\n"))):
        fmas = fmas_of(loop)
        width = "zmm" if "zmm" in fmas[0] else "ymm"
        key = f"{fmas[0].split()[0]} {width} x {len(fmas)}"
        loops[key] += 1
        on_stack[key] += len(loop.text(stack))
for key in sorted(loops):
    print(f"{key}: {loops[key]} loops, {on_stack[key]} uses of the stack")
