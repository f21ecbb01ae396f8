"""Plans: files, bytes, pickles, layout, and tables whose dtypes are the structs of the C header."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import re
import subprocess
import tempfile
import unittest
from typing import Dict, List, Tuple

import numpy

import flashcp
from flashcp import tables

LENGTHS = [300, 0, 45, 120, 7]
# Types of plan.fbs in numpy.
SCALARS = {"uint": "u4", "int": "i4", "ulong": "u8", "ushort": "u2", "ubyte": "u1", "bool": "?"}
DTYPES = {
    "Band": tables.BAND,
    "Document": tables.DOCUMENT,
    "TokenRange": tables.TOKEN_RANGE,
    "Buffer": tables.BUFFER,
    "Slice": tables.SLICE,
    "Part": tables.PART,
    "Message": tables.MESSAGE,
    "Tile": tables.TILE,
    "Wait": tables.WAIT,
    "Instruction": tables.INSTRUCTION,
}
ENUMS = {
    "DType": tables.DType,
    "BufferKind": tables.BufferKind,
    "Direction": tables.Direction,
    "Opcode": tables.Opcode,
    "Stream": tables.Stream,
}


def make_plan(**options: object) -> flashcp.Plan:
    """Returns a plan whose tables all have rows."""
    settings = dict(ranks=3, heads=(4, 2), head_dim=32, cluster="cpu", strategy="zigzag")
    return flashcp.compile(LENGTHS, **{**settings, **options})  # type: ignore[arg-type]


class BytesTest(unittest.TestCase):
    def test_same_bytes_everywhere(self) -> None:
        plan = make_plan()
        self.assertEqual(plan.to_bytes(), make_plan().to_bytes())
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a b é.plan")
            plan.save(path)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), plan.to_bytes())
            self.assertEqual(flashcp.Plan.load(path), plan)
        for made in (
            flashcp.Plan.from_bytes(plan.to_bytes()),
            flashcp.Plan.from_bytes(plan.buffer),
            pickle.loads(pickle.dumps(plan)),
            copy.deepcopy(plan),
        ):
            self.assertEqual(made, plan)
            self.assertEqual(hash(made), hash(plan))
        other = make_plan(strategy="per-doc")
        self.assertNotEqual(other, plan)
        self.assertNotEqual(other.hash, plan.hash)

    def test_refused(self) -> None:
        data = make_plan().to_bytes()
        with self.assertRaises(flashcp.InvalidArgumentError) as caught:
            flashcp.Plan.from_bytes(b"no plan")
        self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual(caught.exception.status, "INVALID_ARGUMENT")
        broken = bytearray(data)
        broken[len(data) // 2] ^= 255
        with self.assertRaises(flashcp.FlashcpError):
            flashcp.Plan.from_bytes(broken)
        with self.assertRaises(flashcp.FlashcpError) as missing:
            flashcp.Plan.load("/nowhere/a.plan")
        self.assertIn("/nowhere/a.plan", str(missing.exception))
        # As an error comes back from a worker process.
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((type(again), str(again)), (type(caught.exception), str(caught.exception)))

    def test_info(self) -> None:
        plan = make_plan(dtype=numpy.dtype("float16"), scale=0.5)
        self.assertEqual((plan.tokens, plan.ranks), (sum(LENGTHS), 3))
        self.assertEqual((plan.heads, plan.head_dim, plan.dtype), ((4, 2), 32, "f16"))
        self.assertEqual((plan.scale, plan.head_groups), (0.5, 1))
        self.assertGreaterEqual(plan.forward_us + plan.backward_us, plan.bound_us)
        self.assertGreater(plan.bound_us, 0)
        self.assertEqual(plan.document_lengths.tolist(), LENGTHS)
        self.assertEqual(sum(plan.rank_tokens(rank) for rank in range(3)), plan.tokens)
        self.assertRegex(
            repr(plan), r"<flashcp.Plan [0-9a-f]{16}: 5 documents, 472 tokens, 3 ranks, heads 4:2"
        )
        inspected = plan.inspect()
        self.assertEqual(int(inspected["hash"], 16), plan.hash)
        self.assertEqual(inspected["per_rank"][2]["tokens"], plan.rank_tokens(2))
        self.assertEqual(json.loads(json.dumps(inspected)), inspected)
        with self.assertRaises(AttributeError):
            plan.ranks = 4  # type: ignore[misc]

    def test_rank_out_of_range(self) -> None:
        plan = make_plan()
        for rank in (-1, 3):
            for method in (plan.token_indices, plan.rank_info, plan.rank):
                with self.assertRaisesRegex(ValueError, "rank"):
                    method(rank)


class LayoutTest(unittest.TestCase):
    def test_ids(self) -> None:
        plan = make_plan()
        begin = numpy.cumsum(LENGTHS) - LENGTHS
        owned: List[int] = []
        for rank in range(plan.ranks):
            rows = plan.token_indices(rank)
            self.assertEqual(rows.dtype, numpy.int64)
            numpy.testing.assert_array_equal(
                begin[plan.document_ids(rank)] + plan.position_ids(rank), rows
            )
            layout = plan.rank(rank).layout
            expected = [
                begin[document] + position
                for document, first, last in layout.tolist()
                for position in range(first, last)
            ]
            self.assertEqual(rows.tolist(), expected)
            owned += rows.tolist()
        self.assertEqual(sorted(owned), list(range(plan.tokens)))


class TablesTest(unittest.TestCase):
    def test_views(self) -> None:
        plan = make_plan(memory_budget=1)
        base = plan.buffer
        self.assertFalse(base.flags.writeable)
        filled = 0
        for rank in range(plan.ranks):
            rank_tables = plan.rank(rank)
            for name, dtype in tables.TABLES.items():
                table = plan.documents if name == "documents" else getattr(rank_tables, name)
                self.assertEqual(table.dtype, dtype)
                filled += len(table) > 0
                if len(table):
                    self.assertTrue(numpy.shares_memory(table, base), name)
                with self.assertRaises(ValueError):
                    table.flags.writeable = True
        self.assertEqual(filled, len(tables.TABLES) * plan.ranks, "each table has rows")
        # A view keeps the plan.
        tiles = plan.rank(0).tiles
        kept = tiles.copy()
        del plan, base, rank_tables, table
        gc.collect()
        numpy.testing.assert_array_equal(tiles, kept)

    def test_content(self) -> None:
        plan = make_plan()
        inspected = plan.inspect()
        for rank in range(plan.ranks):
            own = plan.rank(rank)
            incoming = own.messages[own.messages["direction"] == tables.Direction.RECEIVE]
            self.assertEqual(
                int(incoming["bytes"].sum()), inspected["per_rank"][rank]["recv_bytes_forward"]
            )
            buffers = own.buffers["kind"].tolist()
            self.assertEqual(buffers[:3], [tables.BufferKind.QUERY, tables.BufferKind.KEY, 2])
            # Documents are causal.
            self.assertTrue((own.tiles["band"]["lower"] == tables.NO_LOWER).all())
            self.assertTrue((own.tiles["band"]["upper"] == 0).all())
            last = own.backward_instructions[-1]
            self.assertIn(last["opcode"], list(tables.Opcode))

    def test_schema(self) -> None:
        """Structs and enums are those of plan.fbs."""
        with open("runtime/plan/plan.fbs", encoding="utf-8") as file:
            schema = re.sub("//.*", "", file.read())
        found: Dict[str, List[Tuple[str, str]]] = {
            name: re.findall(r"(\w+):(\w+);", body)
            for name, body in re.findall(r"struct (\w+) \{(.*?)\}", schema, re.S)
        }
        enums = re.findall(r"enum (\w+) : ubyte \{(.*?)\}", schema, re.S)
        for name, dtype in DTYPES.items():
            fields = []
            for field, kind in found[name]:
                if kind in DTYPES:
                    fields.append((field, DTYPES[kind]))
                else:
                    fields.append((field, numpy.dtype(SCALARS.get(kind, "u1"))))
            self.assertEqual(dtype, numpy.dtype(fields, align=True), name)
        for name, body in enums:
            if name in ENUMS:
                members = [member.upper() for member in re.findall(r"\w+", body)]
                self.assertEqual([member.name for member in ENUMS[name]], members)
                self.assertEqual([int(member) for member in ENUMS[name]], list(range(len(members))))

    def test_header(self) -> None:
        """Sizes and offsets are those that a C compiler gives to flashcp_tables.h."""
        with open("api/flashcp_tables.h", encoding="utf-8") as file:
            header = re.sub("//.*", "", file.read())
        structs = re.findall(r"typedef struct (\w+) \{(.*?)\}", header, re.S)
        self.assertEqual(len(structs), len(DTYPES))
        lines = []
        for name, body in structs:
            lines.append(f'printf("{name} %zu", sizeof({name}));')
            for field in re.findall(r"(\w+);", body):
                lines.append(f'printf(" {field} %zu", offsetof({name}, {field}));')
            lines.append('printf("\\n");')
        source = "#include <stddef.h>\n#include <stdio.h>\n" + '#include "api/flashcp_tables.h"\n'
        source += "int main(void) {" + "\n".join(lines) + "}\n"
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "offsets")
            command = ["gcc", "-x", "c", "-std=c99", "-I.", "-", "-o", program]
            subprocess.run(command, input=source.encode(), check=True)
            output = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode()
        layouts = {tuple(line.split()[1:]) for line in output.splitlines()}
        ours = set()
        for dtype in DTYPES.values():
            layout = [str(dtype.itemsize)]
            for field, (_, offset) in dtype.fields.items():  # type: ignore[union-attr]
                layout += [field, str(offset)]
            ours.add(tuple(layout))
        self.assertEqual(layouts, ours)


if __name__ == "__main__":
    unittest.main()
