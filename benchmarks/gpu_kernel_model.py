#!/usr/bin/env python3
"""Models the inner loops of GPU attention kernels from their machine code; nothing is measured.

For the loop over blocks of each kernel: its instructions, and the cycles for which it keeps each
unit of an SM's quarter busy. The modelled share of tensor peak is tensor cycles by those of the
busiest unit: what the loop reaches if that unit never waits, without memory, caches, clocks or what
is outside the loop. Needs cubins (bazel build //runtime/cuda:gpu_kernels_assembled, with ptxas) and
nvdisasm (tools/install_nvdisasm.sh).
"""

import argparse
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "codegen", "nvptx"))
import sass  # noqa: E402

# Cycles of a quarter of an SM for one instruction of a warp. Lanes a cycle: 32 multiply-adds, 16
# comparisons, conversions and integer operations, 4 (8 warp cycles) exponentials.
FULL_RATE = {"FFMA", "FADD", "FMUL", "FFMA2"}
HALF_RATE = {"FMNMX", "FMNMX3", "F2FP", "FSEL", "FSETP", "ISETP", "SEL", "LOP3", "IADD3", "SHF",
             "PRMT", "VIADD", "VIADDMNMX", "VIMNMX", "LEA", "MOV", "I2FP"}
EX2_CYCLES = 8
SHARED_BYTES = 128  # an SM reads in a cycle
# Bytes of shared memory that an instruction of a warp moves.
WARP_BYTES = {"LDSM.*\\.4": 512, "LDSM.*\\.2": 256, "LDS\\.128": 512, "LDS\\.64": 256, "LDS": 128,
              "STS\\.128": 512, "STS\\.64": 256, "STS": 128, "STSM.*\\.4": 512}

# TFLOP/s of FlashAttention-3's paper (arXiv 2407.08608) on an H100 of 989, as transcribed by others:
# 16K tokens in all, sequences of 8K, full mask. Theirs, measured; ours are models.
PUBLISHED = {("forward", 64): 496, ("forward", 128): 646, ("forward", 256): 746,
             ("backward", 64): 472, ("backward", 128): 559}
H100_PEAK = 989


def product_cycles(text):
    """Returns tensor cycles of a quarter, and bytes that the SM reads from shared memory."""
    wide = re.match(r"HGMMA\.64x(\d+)x16", text)
    if wide:
        columns = int(wide[1])
        from_registers = re.search(r"R\d+, R\d+, gdesc", text)
        return columns / 2, columns * 32 + (0 if from_registers else 64 * 32)
    return (8, 0) if text.startswith("HMMA.16816") else (0, 0)  # 256 multiply-adds a cycle


def warp_bytes(text):
    for pattern, count in WARP_BYTES.items():
        if re.match(pattern, text):
            return count
    return 0


def units_of(loop):
    """Returns the busy cycles of each unit, by its name."""
    units = dict.fromkeys(["tensor", "exp2", "arithmetic", "issue", "shared"], 0)
    for text in loop.instructions:
        name = re.match(r"\w+", text)[0]
        tensor, read = product_cycles(text)
        units["tensor"] += tensor
        units["shared"] += (read + 4 * warp_bytes(text)) / SHARED_BYTES
        units["exp2"] += EX2_CYCLES if text.startswith("MUFU") else 0
        units["arithmetic"] += 1 if name in FULL_RATE else 2 if name in HALF_RATE else 0
        units["issue"] += 1
    return units


def describe(kernel, product):
    """Prints the loop over blocks of an attention kernel."""
    match = re.match(r"flashcp_(\w+?)_(sm_\w+?)_(bf16|f16)_(\d+)_(\d+)", kernel.symbol)
    loop = kernel.main_loop(product)
    if not match or not loop:
        return
    units = units_of(loop)
    busiest = max(units, key=units.get)
    published = PUBLISHED.get((match[1], int(match[4])))
    theirs = ""
    if published and match[2] == "sm_90a" and match[4] == match[5]:
        theirs = (f"; FlashAttention-3 published {published} TFLOP/s of {H100_PEAK}, "
                  f"{published / H100_PEAK:.0%}")
    print(f"{kernel.symbol}: loop of {len(loop.instructions)} instructions")
    print("  " + " ".join(f"{name} {count}" for name, count in loop.mix().most_common(12)))
    print("  cycles: " + ", ".join(f"{name} {cycles:.0f}" for name, cycles in units.items()))
    print(f"  modelled share of tensor peak {units['tensor'] / units[busiest]:.0%}, "
          f"bound by {busiest}{theirs}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cubins", nargs="*", help="by default those of bazel-bin/runtime/cuda, of bf16")
    arguments = parser.parse_args()
    program = sass.disassembler()
    if not program:
        sys.exit("gpu_kernel_model: error: no nvdisasm: run tools/install_nvdisasm.sh")
    folder = os.path.join(ROOT, "bazel-bin", "runtime", "cuda")
    cubins = arguments.cubins or [
        path for target in ("sm_90a", "sm_80")
        for path in sorted(glob.glob(f"{folder}/{target}_bf16_*.{target}.cubin"))]
    if not cubins:
        sys.exit(f"gpu_kernel_model: error: no cubins in {folder}: install ptxas, then bazel build "
                 "//runtime/cuda:gpu_kernels_assembled")
    for path in cubins:
        for kernel in sass.read_kernels(program, path):
            describe(kernel, "HGMMA" if "sm_90a" in kernel.symbol else "HMMA")


if __name__ == "__main__":
    main()
