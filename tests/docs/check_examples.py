"""Runs every ```mlir example of Markdown files through flashcp-opt, which parses and verifies it.

An example that does not begin with cp.batch stands inside a batch of 16 ranks, and one of ops of a
program inside a program; %d0, %d1, %s0 and %s1 are defined before it unless it defines them.
"""
import re
import subprocess
import sys

BATCH = """cp.batch @example ranks(16) heads<q = 32, kv = 8, dim = 128> dtype(bf16) exchange<needed>
    cluster<"h100x8"> {
%s
}
"""
PROGRAM = "cp.program rank(0) layout {} {\n%s\n}"
PRELUDE = {
    "%d0": "%d0 = cp.document length(4096) mask(causal)",
    "%d1": "%d1 = cp.document length(9000) mask(causal)",
    "%s0": "%s0 = cp.shard %d0 {[0, 4096) on 0}",
    "%s1": "%s1 = cp.shard %d1 {[0, 9000) on 0}",
}
OF_BATCH = r"(%\w+ = )?cp\.(document|shard|tiles|transfer|program)\b"


def whole(example):
    """Returns the example as a module."""
    if example.startswith("cp.batch"):
        return example
    if not re.match(OF_BATCH, example):
        example = PROGRAM % example
    # A definition that needs another comes after it: documents before shards.
    missing = [name for name in PRELUDE if f"{name} =" not in example]
    needed = [name for name in missing if name in example]
    needed += [f"%d{name[2]}" for name in needed if f"%d{name[2]}" in missing and f"%d{name[2]}" not in needed]
    return BATCH % "\n".join([PRELUDE[name] for name in sorted(set(needed))] + [example])


def main():
    examples = failed = 0
    for path in sys.argv[1:]:
        with open(path) as file:
            blocks = re.findall(r"```mlir\n(.*?)```", file.read(), re.S)
        assert blocks, f"{path}: no example"
        for block in blocks:
            lines = [line for line in block.strip().split("\n") if line.strip() != "..."]
            module = whole("\n".join(lines))
            run = subprocess.run(["flashcp-opt"], input=module, capture_output=True, text=True)
            examples += 1
            if run.returncode:
                failed += 1
                print(f"{path}: {run.stderr}\n{module}")
    print(f"{examples} examples, {failed} failed")
    return failed != 0


sys.exit(main())
