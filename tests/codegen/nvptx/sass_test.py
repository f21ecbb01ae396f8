#!/usr/bin/env python3
"""Holds the machine code of GPU kernels to what makes it fast: local memory is not used, products are
those of the target, and in forward loops of Hopper 2^x comes before the wait for P V, which is what
overlaps with it. ptxas loses this overlap without a word."""
import os
import sys

from sass import EXP2, Kernel, disassembler, read_kernels


def faults_of(kernel: Kernel):
    """Yields what is wrong with a kernel."""
    local = kernel.count(r"LDL|STL")
    if local:
        yield "0 accesses of local memory expected, %d found" % local
    if "forward" not in kernel.symbol and "backward" not in kernel.symbol:
        return
    product = "HGMMA" if "sm_90a" in kernel.symbol else "HMMA"
    loop = kernel.main_loop(product)
    if not loop:
        yield "no loop with %s and %s" % (product, EXP2)
    elif product == "HGMMA" and "forward" in kernel.symbol:
        late = loop.count_after_last("WARPGROUP.DEPBAR", EXP2)
        if late:
            yield "%d of %d %s of the loop come after its last wait" % (late, loop.count(EXP2), EXP2)


def main(paths):
    cubins = [path for path in paths if path.endswith(".cubin")]
    program = disassembler()
    if not cubins:
        print("SKIPPED: no ptxas when this was built; set CUDA_HOME, or install cuda-nvcc")
        return 0
    if not program:
        print("SKIPPED: no nvdisasm: run tools/install_nvdisasm.sh")
        return 0
    faults, count = [], 0
    for path in cubins:
        for kernel in read_kernels(program, path):
            count += 1
            faults += ["%s: %s: %s" % (os.path.basename(path), kernel.symbol, fault)
                       for fault in faults_of(kernel)]
    print("\n".join(faults) or "%d kernels" % count)
    return 1 if faults or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
