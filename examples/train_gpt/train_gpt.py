"""Trains a small GPT (RoPE, grouped-query attention) on packed text, with context parallelism.

    train_gpt.py                                one rank
    train_gpt.py --threads 4                    4 ranks as threads, backend native
    train_gpt.py --processes 2                  2 ranks as processes, backend torch over gloo
    train_gpt.py --processes 4 --dp 2 --wrap fsdp    FSDP2 over a mesh dp 2 x cp 2
    train_gpt.py --processes 4 --dp 2 --wrap ddp     DDP over the same ranks

All print the same losses. Each line of text.txt is a document, each byte a token. What a trainer
does for FlashCP is in four places: the context, `shard`, RoPE by `position_ids`, the sum of losses.
"""

import argparse
import copy
import json
import os
import threading

import torch
import torch.distributed as dist
import torch.nn.functional as F

import flashcp
import flashcp.torch as fcp

HEADS, HEAD_DIM, LAYERS = (4, 2), 16, 2
WIDTH, VOCABULARY = HEADS[0] * HEAD_DIM, 256
MICROBATCHES, TOKENS = 2, 256  # of a step, of a microbatch at most


# ---- Data: a sample is a pack of documents


def samples(steps):
    """Packs of documents, at most TOKENS tokens each: MICROBATCHES for each step."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "text.txt")
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    pack, line = [], 0
    count = 0
    while count < steps * MICROBATCHES:
        document = lines[line % len(lines)][:TOKENS]
        if sum(map(len, pack)) + len(document) > TOKENS:
            yield {"lengths": [len(d) for d in pack], "tokens": torch.tensor(list(b"".join(pack)))}
            pack, count = [], count + 1
        pack.append(document)
        line += 1


# ---- The model: nothing of it knows about ranks but attention


def rope(x, position_ids):
    """Rotates [tokens, heads, dim] by positions in the document, which travel with the rows."""
    half = x.shape[-1] // 2
    angle = position_ids[:, None, None] * 0.1 ** (torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = [HEADS[0], HEADS[1], HEADS[1]]
        self.norm1, self.norm2 = torch.nn.LayerNorm(WIDTH), torch.nn.LayerNorm(WIDTH)
        self.qkv = torch.nn.Linear(WIDTH, sum(self.heads) * HEAD_DIM)
        self.out = torch.nn.Linear(WIDTH, WIDTH)
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.GELU(), torch.nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x, position_ids, handle):
        qkv = self.qkv(self.norm1(x)).view(len(x), -1, HEAD_DIM)
        q, k, v = qkv.split(self.heads, 1)
        o = fcp.attention(rope(q, position_ids), rope(k, position_ids), v, handle)
        x = x + self.out(o.flatten(1))
        return x + self.mlp(self.norm2(x))


class GPT(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.layers = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm, self.head = torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens, position_ids, handle):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, position_ids, handle)
        return self.head(self.norm(x))


def new_model():
    torch.manual_seed(0)
    return GPT()


# ---- The training loop, the same for all


def train(
    model, context, steps, replica=0, replicas=1, reduce=lambda *x: x, everyone=None, scale=1
):
    """Returns the loss of each step. reduce(loss, gradients) adds them up over all ranks; wrappers
    that do so with the gradients have a `scale` that undoes their average."""
    optimizer = torch.optim.SGD(model.parameters(), 0.3, momentum=0.9)
    mine = (s for i, s in enumerate(samples(steps)) if i % replicas == replica)
    losses = []
    with context.planner(lookahead=2) as planner:
        for micros in planner.steps(mine, accumulate=MICROBATCHES // replicas):
            # Labels of all replicas and microbatches: ranks hold different numbers of them, so
            # that no average over ranks is the mean of the batch.
            valid = fcp.all_reduce_count(micros, context if everyone is None else everyone)
            total = 0.0
            for batch in micros:
                labels = batch.next_token_labels(batch.tokens)  # before the permutation
                rows = batch.shard({"tokens": batch.tokens, "labels": labels})
                logits = model(rows["tokens"], batch.position_ids, batch.handle)
                loss = F.cross_entropy(logits, rows["labels"], ignore_index=-100, reduction="sum")
                loss = loss / valid
                (loss * scale).backward()
                total = total + loss.detach()
            total = reduce(total, [p.grad for p in model.parameters()])[0]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(total))
    return losses


def new_context(group, **options):
    return fcp.ContextParallel(
        group, heads=HEADS, head_dim=HEAD_DIM, dtype=torch.float32, time_budget=2, **options
    )


# ---- Ranks as threads of this process


def train_threads(ranks, steps):
    group = flashcp.Group.threads(ranks)
    barrier, slots, model = threading.Barrier(ranks), [None] * ranks, new_model()

    def rank_main(rank):
        own = copy.deepcopy(model)

        def reduce(loss, gradients):
            slots[rank] = [loss, *gradients]
            barrier.wait()
            sums = [sum(values) for values in zip(*slots)]
            barrier.wait()
            for gradient, total in zip(gradients, sums[1:]):
                gradient.copy_(total)
            return sums

        return train(own, new_context(group, rank=rank), steps, reduce=reduce)

    return group.run(rank_main)[0]


# ---- Ranks as processes


def process_main(rank, options, results):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"tcp://127.0.0.1:{options.port}", rank=rank, world_size=options.processes
    )
    losses = train_process(rank, options)
    if rank == 0:
        results.put(losses)
    dist.destroy_process_group()


def train_process(rank, options):
    cp = options.processes // options.dp
    replica = rank // cp
    model = new_model()
    replicas = {"replica": replica, "replicas": options.dp, "everyone": dist.group.WORLD}
    if options.wrap == "fsdp":
        return train_fsdp(model, options, replicas)
    # Consecutive ranks are a context-parallel group, and so share a node.
    groups = [dist.new_group(list(range(i * cp, (i + 1) * cp))) for i in range(options.dp)]
    context = new_context(groups[replica])
    if options.wrap == "ddp":
        model = torch.nn.parallel.DistributedDataParallel(model)
        model.require_forward_param_sync = False
        world = options.processes  # DDP divides by it
        return train(model, context, options.steps, scale=world, reduce=sum_loss, **replicas)
    return train(model, context, options.steps, reduce=sum_all, **replicas)


def train_fsdp(model, options, replicas):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    shape = options.dp, options.processes // options.dp
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "cp"))
    for module in (*model.layers, model):
        fully_shard(module, mesh=mesh["dp", "cp"]._flatten())
        module.set_gradient_divide_factor(1.0)  # the loss is divided by all labels already
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other reduction
    return train(model, new_context(mesh["cp"]), options.steps, reduce=sum_loss, **replicas)


def sum_loss(loss, gradients):
    dist.all_reduce(loss)
    return loss, gradients


def sum_all(loss, gradients):
    for tensor in (loss, *gradients):
        dist.all_reduce(tensor)
    return loss, gradients


def train_processes(options):
    # On GPUs, or under torchrun, each rank is started afresh; here forks save the imports.
    results = torch.multiprocessing.get_context("fork").SimpleQueue()
    torch.multiprocessing.start_processes(
        process_main, (options, results), options.processes, start_method="fork"
    )
    return results.get()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, help="ranks as threads of this process")
    parser.add_argument("--processes", type=int, help="ranks as processes")
    parser.add_argument("--dp", type=int, default=1, help="replicas; the other factor is cp")
    parser.add_argument("--wrap", choices=("none", "ddp", "fsdp"), default="none")
    parser.add_argument("--port", type=int, default=29517)
    parser.add_argument("--output", help="file for the losses, JSON")
    options = parser.parse_args()
    if options.processes:
        losses = train_processes(options)
    elif options.threads:
        losses = train_threads(options.threads, options.steps)
    else:
        losses = train(new_model(), new_context(None), options.steps)
    for step in range(0, options.steps, 10):
        print(f"step {step:3}: loss {losses[step]:.6f}")
    print(f"step {options.steps - 1:3}: loss {losses[-1]:.6f}")
    if options.output:
        with open(options.output, "w") as file:
            json.dump(losses, file)


if __name__ == "__main__":
    main()
