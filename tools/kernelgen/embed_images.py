"""embed_images.py CC OBJECT LIST FILE...: compresses files into the data of an object.

FILE is NAME.ptx, for the architecture that NAME begins with, or NAME.ARCHITECTURE.cubin. LIST gets a
line for each: FLASHCP_IMAGE(NAME, architecture, kind, offset, compressed size, size).
"""
import os
import re
import subprocess
import sys
import zlib


def describe(path):
    """Returns the name, architecture and kind of a file."""
    parts = os.path.basename(path).split(".")
    if parts[-1] == "cubin":
        return parts[0], parts[1], "kCubin"
    return parts[0], re.match(r"sm_\d+[a-z]?", parts[0])[0], "kPtx"


def main(compiler, target, listing, *files):
    data, lines = b"", []
    for path in files:
        with open(path, "rb") as file:
            content = file.read()
        compressed = zlib.compress(content, 9)
        lines.append("FLASHCP_IMAGE(%s, %s, %s, %d, %d, %d)\n" % (
            *describe(path), len(data), len(compressed), len(content)))
        data += compressed
    with open(listing, "w") as file:
        file.writelines(lines)
    with open(target + ".bin", "wb") as file:
        file.write(data)
    assembly = """
        .section .rodata
        .globl flashcp_kernel_images
        .hidden flashcp_kernel_images
        flashcp_kernel_images:
        .incbin "%s.bin"
        .section .note.GNU-stack, "", @progbits
    """ % target
    subprocess.run([compiler, "-c", "-x", "assembler", "-", "-o", target], input=assembly.encode(),
                   check=True)
    os.remove(target + ".bin")


main(*sys.argv[1:])
