"""npy_files.py make | check[-backward] FOLDER TYPE TOLERANCE [SCALE]: npy files for run.test, without numpy.

The batch has documents of 40, 0, 7 and 17 tokens, 4 query heads, 2 key/value heads, dimension 8.
"""
import array
import math
import os
import random
import struct
import sys

LENGTHS, HEADS, KV, DIM = (40, 0, 7, 17), 4, 2, 8
TOKENS = sum(LENGTHS)
SCALE = float(sys.argv[5]) if len(sys.argv) > 5 else 1 / math.sqrt(DIM)


def save(path, shape, values, code="f", descr="<f4"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack("<%d%s" % (len(values), code), *values))


def load(path, shape, descr):
    data = open(path, "rb").read()
    (length,) = struct.unpack_from("<H", data, 8)
    header = eval(data[10 : 10 + length])
    assert header == {"descr": descr, "fortran_order": False, "shape": shape}, header
    count = math.prod(shape)
    return struct.unpack("<%d%s" % (count, "f" if descr == "<f4" else "e"), data[10 + length :])


def inputs():
    rng = random.Random(7)
    make = lambda heads: array.array("f", [rng.gauss(0, 1) for _ in range(TOKENS * heads * DIM)])
    return make(HEADS), make(KV), make(KV), make(HEADS)


def make():
    q, k, v, do = inputs()
    shapes = {"q": (TOKENS, HEADS, DIM), "k": (TOKENS, KV, DIM), "v": (TOKENS, KV, DIM)}
    save("in/do.npy", shapes["q"], do)
    for name, values in zip("qkv", (q, k, v)):
        for folder in ("in", "shape", "f64", "cut"):
            save("%s/%s.npy" % (folder, name), shapes[name], values)
        save("in16/%s.npy" % name, shapes[name], values, "e", "<f2")
    save("shape/k.npy", shapes["q"], q)
    for folder, name, bad in (("nan", "k", math.nan), ("inf", "v", -math.inf)):
        for other, values in zip("qkv", (q, k, v)):
            save("%s/%s.npy" % (folder, other), shapes[other], values)
        values = (k if name == "k" else v)[:]
        values[(50 * KV + 1) * DIM + 3] = bad
        save("%s/%s.npy" % (folder, name), shapes[name], values)
    save("f64/v.npy", shapes["v"], v, "d", "<f8")
    with open("cut/q.npy", "r+b") as file:
        file.truncate(os.path.getsize("cut/q.npy") - 1)


def attention(q, k, v):
    """Causal attention of every document, the obvious way."""
    row = lambda tensor, heads, token, head: tensor[(token * heads + head) * DIM :][:DIM]
    output, lse = [], []
    start = 0
    for length in LENGTHS:
        for i in range(start, start + length):
            for head in range(HEADS):
                query, group = row(q, HEADS, i, head), head * KV // HEADS
                scores = [
                    SCALE * sum(a * b for a, b in zip(query, row(k, KV, j, group)))
                    for j in range(start, i + 1)
                ]
                weights = [math.exp(s) for s in scores]
                lse.append(math.log(sum(weights)))
                for d in range(DIM):
                    total = sum(w * row(v, KV, start + j, group)[d] for j, w in enumerate(weights))
                    output.append(total / sum(weights))
        start += length
    return output, lse


def check_backward(folder):
    """The gradient of sum(O * dO) along one random direction of Q, K and V, by differences."""
    q, k, v, do = inputs()
    rng = random.Random(8)
    step = 1e-4
    shapes = {"q": HEADS, "k": KV, "v": KV}
    directions = [[rng.gauss(0, 1) for _ in tensor] for tensor in (q, k, v)]
    moved = lambda sign: [
        [a + sign * step * b for a, b in zip(tensor, direction)]
        for tensor, direction in zip((q, k, v), directions)
    ]
    loss = lambda tensors: sum(a * b for a, b in zip(attention(*tensors)[0], do))
    expected = (loss(moved(1)) - loss(moved(-1))) / (2 * step)
    found = 0
    for name, direction in zip("qkv", directions):
        gradient = load("%s/d%s.npy" % (folder, name), (TOKENS, shapes[name], DIM), "<f4")
        found += sum(a * b for a, b in zip(gradient, direction))
    assert abs(found - expected) < 1e-3 * max(1, abs(expected)), (found, expected)
    assert sorted(os.listdir(folder)) == ["dk.npy", "dq.npy", "dv.npy", "lse.npy", "o.npy"]


def check(folder, kind, tolerance):
    output, lse = attention(*inputs()[:3])
    found = load(folder + "/o.npy", (TOKENS, HEADS, DIM), "<" + kind)
    assert max(abs(a - b) for a, b in zip(output, found)) < tolerance
    found = load(folder + "/lse.npy", (TOKENS, HEADS), "<f4")
    assert max(abs(a - b) for a, b in zip(lse, found)) < tolerance


if sys.argv[1] == "make":
    make()
else:
    check(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    if sys.argv[1] == "check-backward":
        check_backward(sys.argv[2])
    else:
        assert sorted(os.listdir(sys.argv[2])) == ["lse.npy", "o.npy"]
