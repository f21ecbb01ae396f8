"""The machine code of cubins, as nvdisasm prints it: kernels, their loops, and instructions by name."""
import collections
import os
import pwd
import re
import subprocess

_LABEL = re.compile(r"\s*(\.L_x_\d+):")
_INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:\{ )?\s*(.*?)\s*;")
_BRANCH = re.compile(r"BRA(?:\.\S+)?\b.*`\((\.L_x_\d+)\)")

EXP2 = "MUFU.EX2"


def disassembler():
    """Returns the path of nvdisasm, or None."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    path = os.environ.get("FLASHCP_NVDISASM", home + "/.cache/flashcp/nvdisasm-13.5.37/nvdisasm")
    return path if os.access(path, os.X_OK) else None


class Code:
    """Instructions, without their predicates, in the order of memory."""

    def __init__(self, instructions):
        self.instructions = instructions

    def count(self, name):
        """Counts instructions whose name begins with the pattern."""
        return sum(bool(re.match(name, text)) for text in self.instructions)

    def count_after_last(self, mark, name):
        """Counts those after the last instruction `mark`; none if there is no mark."""
        marks = [i for i, text in enumerate(self.instructions) if text.startswith(mark)]
        return Code(self.instructions[marks[-1] + 1:]).count(name) if marks else 0

    def mix(self):
        """Counts instructions by the first part of their name; those of 2^x apart."""
        names = (re.match(r"MUFU\.\w+|\w+", text) for text in self.instructions)
        return collections.Counter(name[0] for name in names if name)


class Kernel(Code):
    """One kernel of a cubin."""

    def __init__(self, symbol, instructions, labels):
        super().__init__(instructions)
        self.symbol = symbol
        self._labels = labels

    def loops(self, name):
        """Returns the innermost loops that have an instruction of this name."""
        spans = []
        for end, text in enumerate(self.instructions):
            match = _BRANCH.match(text)
            begin = self._labels.get(match[1], end + 1) if match else end + 1
            if begin <= end and Code(self.instructions[begin:end + 1]).count(name):
                spans.append((begin, end))
        inner = [a for a in spans
                 if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
        return [Code(self.instructions[begin:end + 1]) for begin, end in inner]

    def main_loop(self, product):
        """Returns the loop over blocks: the shortest of those with most of the products and of 2^x.

        Loops that begin or end elsewhere in it, for the first block of an item, are longer or have
        fewer. None if there is no loop with both.
        """
        loops = [loop for loop in self.loops(product) if loop.count(EXP2)]
        for name in (product, EXP2):
            most = max((loop.count(name) for loop in loops), default=0)
            loops = [loop for loop in loops if 2 * loop.count(name) >= most]
        return min(loops, key=lambda loop: len(loop.instructions), default=None)


def read_kernels(program, path):
    """Returns the kernels of a cubin."""
    text = subprocess.run([program, path], check=True, capture_output=True, text=True).stdout
    kernels, symbol, instructions, labels = [], None, [], {}
    for line in text.splitlines() + [".section .end"]:
        section = re.match(r"\s*\.section\s+([^,\s]+)", line)
        if section:
            if symbol and instructions:
                kernels.append(Kernel(symbol, instructions, labels))
            name = section[1]
            symbol = name[len(".text."):] if name.startswith(".text.") else None
            instructions, labels = [], {}
        elif symbol and _LABEL.match(line):
            labels[_LABEL.match(line)[1]] = len(instructions)
        elif symbol and _INSTRUCTION.match(line):
            instruction = _INSTRUCTION.match(line)[1]
            instructions.append(re.sub(r"^@!?U?P\w+ +", "", instruction))
    return kernels
