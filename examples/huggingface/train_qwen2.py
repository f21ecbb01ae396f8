"""Trains a small Qwen2 of Hugging Face transformers on two context-parallel ranks.

    train_qwen2.py [--steps 5] [--check]

The model is unchanged: attention comes in by AttentionInterface. Its layers are full and sliding
window in turn, so the context has two masks, whose plans place tokens alike. --check runs the same
steps in one process, document by document with transformers' own attention, and compares losses.
"""

import argparse
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F

import flashcp.torch as fcp

try:
    from transformers import Qwen2Config, Qwen2ForCausalLM
except ImportError as error:
    print(f"SKIPPED: {error}: pip install transformers (4.48 or later)")
    sys.exit(0)

RANKS, WINDOW = 2, 24
LENGTHS = [[90, 37, 60], [150, 20], [64, 64, 40]]  # of the documents of a pack, by step


def new_model(attention):
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=WINDOW,
        layer_types=["full_attention", "sliding_attention"],
    )
    config._attn_implementation = attention
    return Qwen2ForCausalLM(config)


def pack(step):
    """Lengths and tokens of a step's documents: a pattern that can be learnt."""
    lengths = LENGTHS[step % len(LENGTHS)]
    tokens = [(torch.arange(n) * (3 + i) + step) % 128 for i, n in enumerate(lengths)]
    return lengths, torch.cat(tokens)


def train(rank, steps, results):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", "tcp://127.0.0.1:29519", rank=rank, world_size=RANKS)
    context = fcp.ContextParallel(
        dist.group.WORLD,
        heads=(4, 2),
        head_dim=16,
        dtype=torch.float32,
        masks={"full": "causal", "local": f"window:{WINDOW}"},
    )
    fcp.register_with_transformers(context)
    model = new_model("context_parallel")
    optimizer = torch.optim.SGD(model.parameters(), 0.2)
    losses = []
    for step in range(steps):
        lengths, tokens = pack(step)
        with context.batch(lengths) as batch:
            rows = batch.shard({"tokens": tokens, "labels": batch.next_token_labels(tokens)})
            logits = model(
                input_ids=rows["tokens"][None],
                position_ids=batch.position_ids[None],
                use_cache=False,
                flashcp_handle=batch.handle,
            ).logits[0]
            # The model's own loss shifts labels and takes a mean over a rank: both are wrong here.
            loss = F.cross_entropy(logits, rows["labels"], reduction="sum")
            loss = loss / fcp.all_reduce_count([batch], context)
            loss.backward()
        for tensor in (loss := loss.detach(), *(p.grad for p in model.parameters())):
            dist.all_reduce(tensor)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    if rank == 0:
        results.put(losses)
    dist.destroy_process_group()


def train_alone(steps):
    """The same steps, each document by itself, with transformers' attention."""
    model = new_model("eager")
    optimizer = torch.optim.SGD(model.parameters(), 0.2)
    losses = []
    for step in range(steps):
        lengths, tokens = pack(step)
        loss = 0.0
        for document in tokens.split(lengths):
            logits = model(input_ids=document[None], use_cache=False).logits[0]
            loss = loss + F.cross_entropy(logits[:-1], document[1:], reduction="sum")
        loss = loss / sum(n - 1 for n in lengths)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare with one process")
    options = parser.parse_args()
    results = torch.multiprocessing.get_context("fork").SimpleQueue()
    torch.multiprocessing.start_processes(
        train, (options.steps, results), RANKS, start_method="fork"
    )
    losses = results.get()
    print("losses " + " ".join(f"{loss:.6f}" for loss in losses))
    if options.check:
        alone = train_alone(options.steps)
        worst = max(abs(a - b) for a, b in zip(losses, alone))
        print(f"largest difference to one process {worst:.1e}")
        if worst > 1e-4:
            sys.exit("losses differ")


if __name__ == "__main__":
    main()
