"""Reads the loops of a function of x86 assembly, and the instructions that one iteration of each
runs where it takes the way through most multiply-adds."""

import re


class Loop:
    """A loop or a whole function; `path` is what one iteration runs: instructions and loops."""

    def __init__(self, header, blocks):
        self.header, self.blocks = header, blocks
        self.children, self.parent, self.trips, self.path = [], None, 1, []

    def text(self, pattern="", repeat=False):
        """Instructions of the path that match; those of an inner loop once, or `trips` times."""
        lines = []
        for item in self.path:
            if isinstance(item, Loop):
                lines += item.text(pattern, repeat) * (item.trips if repeat else 1)
            elif re.match(pattern, item):
                lines.append(item)
        return lines

    def inner(self):
        return [item for item in self.path if isinstance(item, Loop)]


def read_blocks(lines):
    """Basic blocks of instructions, and where each may go next."""
    blocks, labels, targets = [[]], {}, []
    for line in map(str.strip, lines):
        label = re.match(r"(\.LBB\d+_\d+):", line)
        if label or (blocks[-1] and re.match("j|ret", blocks[-1][-1])):
            blocks.append([])
        if label:
            labels[label.group(1)] = len(blocks) - 1
        elif line and line[0] not in ".#":
            blocks[-1].append(line)
    for i, block in enumerate(blocks):
        last = block[-1] if block else ""
        targets.append([labels[last.split()[1]]] if last.startswith("j") else [])
        if not re.match("jmp|ret", last) and i + 1 < len(blocks):
            targets[-1].append(i + 1)
    return blocks, targets


def find_back_edges(targets):
    """Edges to a block that the walk from the entry is still inside of; all blocks it reaches."""
    edges, state = [], {}

    def visit(block):
        state[block] = "open"
        for target in targets[block]:
            if state.get(target) == "open":
                edges.append((block, target))
            elif target not in state:
                visit(target)
        state[block] = "done"

    visit(0)
    return edges, set(state)


def read_function(lines):
    """The function as a tree of natural loops."""
    blocks, targets = read_blocks(lines)
    edges, reached = find_back_edges(targets)
    bodies = {}
    for latch, header in edges:
        body, todo = bodies.setdefault(header, {header}), [latch]
        while todo:
            block = todo.pop()
            if block not in body:
                body.add(block)
                todo += [source for source in reached if block in targets[source]]
    tree = [Loop(0, reached)]
    for header, body in sorted(bodies.items(), key=lambda item: -len(item[1])):
        loop = Loop(header, body)
        loop.parent = [outer for outer in tree if body < outer.blocks][-1]
        loop.parent.children.append(loop)
        tree.append(loop)
    for loop in reversed(tree):
        loop.path = choose_path(loop, blocks, targets)
    return tree[0]


def choose_path(loop, blocks, targets):
    """The way through that multiplies most in inner loops, and then is shortest."""
    inner = {child.header: child for child in loop.children}
    known = {}

    def best(block):
        """Multiply-adds, minus the number of instructions, and the way on from here, or None."""
        if block not in known:
            child = inner.get(block)
            items, after, fmas = blocks[block], set(targets[block]), 0
            if child:
                items, fmas = [child], len(child.text("vfmadd|vdpbf16ps"))
                after = {t for b in child.blocks for t in targets[b]} - child.blocks
            ways = [best(t) for t in after & loop.blocks - {loop.header}]
            if loop.header in after or not after:
                ways.append((0, 0, []))
            way = max(filter(None, ways), key=lambda way: way[:2], default=None)
            length = len(child.text() if child else items)
            known[block] = way and (way[0] + fmas, way[1] - length, items + way[2])
        return known[block]

    return best(loop.header)[2]


def fmas_of(loop):
    return loop.text("vfmadd231ps|vdpbf16ps")


def find_products(loop):
    """Innermost loops that multiply and add, and are not the polynomial of exp2."""
    if not loop.children:
        return [loop] if len(fmas_of(loop)) >= 8 and not loop.text("vmulps") else []
    return [product for inner in loop.inner() for product in find_products(inner)]
