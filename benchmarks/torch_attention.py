"""PyTorch's CPU attention on the cases of kernel_benchmark, as a yardstick for it.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python benchmarks/torch_attention.py --peak GFLOPS

GFLOPS is the peak that kernel_benchmark prints. One thread, its CPU time, the best of seven runs of
scaled_dot_product_attention and of its backward pass; f32; causal work counts the pairs that the
mask allows, backward five products. Packed documents are computed on the faster of two ways: a
batch, which only documents of equal length can be, and a loop over documents.
"""
import argparse
import math
import sys
import time

try:
    import torch
    from torch.nn.functional import scaled_dot_product_attention
except ImportError:  # main says so, behind --help
    torch = None


def attend(documents, key_value_heads):
    gqa = documents[0][0].shape[1] != key_value_heads
    return [
        scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=gqa)
        for q, k, v in documents
    ]


def seconds(work):
    best = float("inf")
    for _ in range(7):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return best


def measure(batch, documents, heads, key_value_heads, tokens, dim):
    """Seconds of forward and of backward: `documents` calls, each of `batch` documents."""

    def random(count):
        return torch.randn(batch, count, tokens, dim, requires_grad=True)

    inputs = [
        (random(heads), random(key_value_heads), random(key_value_heads)) for _ in range(documents)
    ]
    gradients = [torch.randn(batch, heads, tokens, dim) for _ in range(documents)]
    outputs = attend(inputs, key_value_heads)
    backward = lambda: torch.autograd.backward(outputs, gradients, retain_graph=True)
    with torch.no_grad():
        forward = seconds(lambda: attend(inputs, key_value_heads))
    return forward, seconds(backward)


def positive(text):
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peak", type=positive, help="Gflop/s, to print ratios")
    peak = parser.parse_args().peak
    if torch is None:
        sys.exit("torch_attention: error: no module torch; "
                 "python3 -m venv venv && venv/bin/pip install torch numpy")
    torch.set_num_threads(1)
    print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
    for dim in (64, 128):
        for count, tokens in ((1, 4096), (16, 256)):
            for heads in (1, 4):
                ways = [measure(count, 1, heads, 1, tokens, dim)]
                if count > 1:
                    ways.append(measure(1, count, heads, 1, tokens, dim))
                pairs = count * heads * tokens * (tokens + 1) / 2
                line = "d%-4d heads %d:1  %-18s" % (dim, heads, "%d x %d tokens" % (count, tokens))
                for name, products, times in zip(("forward", "backward"), (2, 5), zip(*ways)):
                    gflops = 2 * products * pairs * dim / min(times) / 1e9
                    line += "  %s %5.1f Gflop/s" % (name, gflops)
                    if peak:
                        line += " %3.0f%%" % (100 * gflops / peak)
                print(line, flush=True)


if __name__ == "__main__":
    main()
