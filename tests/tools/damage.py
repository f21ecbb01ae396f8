"""damage.py PLAN: writes damaged copies of a plan beside it."""
import struct
import sys

plan = bytearray(open(sys.argv[1], "rb").read())


def write(name, data):
    open(name, "wb").write(bytes(data))


def field_offset(table, index):
    """Where field `index` of the table at `table` is (FlatBuffers: tables start with -vtable)."""
    vtable = table - struct.unpack_from("<i", plan, table)[0]
    return table + struct.unpack_from("<H", plan, vtable + 4 + 2 * index)[0]


def sealed(data, hash_offset):
    """The content hash of docs/plan.md, stored."""
    struct.pack_into("<Q", data, hash_offset, 0)
    value = len(data)
    for (word,) in struct.iter_unpack("<Q", data):
        value = ((value ^ word) + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        value ^= value >> 31
    struct.pack_into("<Q", data, hash_offset, value)
    return data


root = struct.unpack_from("<I", plan, 0)[0]
VERSION, CONTENT_HASH, DOCUMENTS = 0, 1, 7

write("truncated", plan[: len(plan) // 2])

foreign = bytearray(plan)
foreign[4:8] = b"ELF!"
write("foreign", foreign)

version = bytearray(plan)
struct.pack_into("<I", version, field_offset(root, VERSION), 77)
write("version", version)

# One token more in the first document: no rank owns it.
broken = bytearray(plan)
at = field_offset(root, DOCUMENTS)
documents = at + struct.unpack_from("<I", plan, at)[0]
length = struct.unpack_from("<I", plan, documents + 4)[0]
struct.pack_into("<I", broken, documents + 4, length + 1)
write("corrupt", broken)  # the content hash knows
write("broken", sealed(broken, field_offset(root, CONTENT_HASH)))
