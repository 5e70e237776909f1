"""The shape of the code, counted.

Run as a script it prints how many files stand at the top of each room, how rooms import each
other, where each method begins, how much of the algorithms is documentation, and how often a
layer's weights are checked.
"""

import ast
import re
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import equations
from project import ROOMS, ROOT, import_name, imports, relative, sources
from subbit import reference
from subbit.reference import ARBLLM, PBS2P, STBLLM, BiLLM
from subbit.reference.contracts.settings import Switches

METHODS = ("billm", "arb_llm", "stbllm", "pbs2p")
ALGORITHMS = (*(f"{name}.py" for name in METHODS), "groups", "zones", "pruning", "baselines")


def docstring_lines(tree: ast.Module) -> set[int]:
    """Lines of all docstrings."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            found |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def documentation(paths: list[Path]) -> tuple[int, int]:
    """Lines of docstrings, and lines of code; comments and blank lines are neither."""
    said = written = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        inside = docstring_lines(ast.parse(text))
        lines = enumerate(text.splitlines(), 1)
        code = [n for n, line in lines if line.strip() and not line.strip().startswith("#")]
        said += len(inside)
        written += len(set(code) - inside)
    return said, written


def algorithms() -> list[Path]:
    """The modules that are read beside a paper."""
    inner = (path.relative_to(ROOT / "reference").parts[0] for path in sources("reference"))
    return [p for p, room in zip(sources("reference"), inner, strict=True) if room in ALGORITHMS]


def beginning(method: str) -> int:
    """The line at which a method's block is defined, its contract included."""
    tree = ast.parse((ROOT / "reference" / f"{method}.py").read_text(encoding="utf-8"))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == f"{method}_block"
    )
    return min(node.lineno for node in (block, *block.decorator_list))


def arrows(house: str) -> dict[tuple[str, str], int]:
    """How many imports lead from one room of a package into another."""
    known = {import_name(path): path for path in sources(house)}
    rooms = {name: ".".join(name.split(".")[2:3]) for name in known}
    found: Counter[tuple[str, str]] = Counter()
    for here, path in known.items():
        for name in set(imports(path)) & set(known):
            if rooms[here] and rooms[name] and rooms[here] != rooms[name]:
                found[rooms[here], rooms[name]] += 1
    return found


def floors(arrows_: dict[tuple[str, str], int]) -> list[list[str]]:
    """Rooms by height: those that import nothing first; the last ones may form a circle."""
    left = {room for pair in arrows_ for room in pair}
    found = []
    while left:
        free = sorted(r for r in left if not any(a == r and b in left for a, b in arrows_))
        if not free:
            return [*found, sorted(left)]
        found.append(free)
        left -= set(free)
    return found


def visits(method: str) -> int:
    """How often the checks see a layer's weights, or arrays computed from them."""
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(8, 64)), rng.normal(size=(2, 100, 64))
    H = reference.accumulate_hessian(X)
    config = {"billm": BiLLM, "arb_llm": ARBLLM, "stbllm": STBLLM, "pbs2p": PBS2P}[method]()
    layer = getattr(reference, f"{method}_layer")
    home = str(Path(reference.errors.__file__ or "").name)
    seen = 0

    def watch(frame: FrameType, event: str, _: Any) -> None:
        nonlocal seen
        above = frame.f_back
        if event != "call" or Path(frame.f_code.co_filename).name != home:
            return
        if above is None or Path(above.f_code.co_filename).name == home:
            return
        given = [frame.f_locals.get(n) for n in frame.f_code.co_varnames]
        seen += any(isinstance(x, np.ndarray) and np.shape(x)[:1] == W.shape[:1] for x in given)

    sys.setprofile(watch)
    try:
        layer(W, H, config.changed(block_size=16))
    finally:
        sys.setprofile(None)
    return seen


RESHAPING = {"column_stack", "einsum", "hstack", "reshape", "stack", "take_along_axis", "vstack"}
SHAPE_NOTE = re.compile(r"#.*\([^()]*\)")


def without_shapes(text: str) -> list[int]:
    """Lines that give an array another shape without a note of it, at their end or above."""
    lines, found = text.splitlines(), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            above = lines[node.lineno - 2].strip() if node.lineno > 1 else ""
            near = [lines[node.lineno - 1], lines[(node.end_lineno or node.lineno) - 1]]
            near += [above] if above.startswith("#") else []
            if node.func.attr in RESHAPING and not any(map(SHAPE_NOTE.search, near)):
                found.append(node.lineno)
    return found


def documented_twice() -> list[str]:
    """Settings that a configuration documents although a part of it does."""
    found = []
    for kind in (value for value in vars(reference).values() if isinstance(value, type)):
        if issubclass(kind, Switches):
            own = {field.name for field in fields(kind)}  # type: ignore[arg-type]
            inner = set(kind().switches()) - own
            text = (kind.__doc__ or "").splitlines()
            found += [
                f"{kind.__name__}.{n}"
                for n in inner
                if any(x.strip().startswith(f"{n} :") for x in text)
            ]
    return found


def report() -> str:
    """All counts, as text."""
    lines = []
    for room in ROOMS:
        top = [p for p in sources(room) if p.parent == ROOT / room]
        between = arrows(room)
        lines.append(
            f"{room}: {len(top)} files at the top, {len(floors(between))} floors, "
            f"{len(between)} arrows of {sum(between.values())} imports"
        )
    said, written = documentation(algorithms())
    lines.append(f"docstring lines {said} / code lines {written} = {said / written:.2f}")
    tags = equations.tags()
    bare = [t for p in sources() for t in equations.above_calls(p.read_text("utf-8"), relative(p))]
    lines.append(f"{len(bare)} of {len(tags)} tags above a bare call")
    lines += [f"{name} begins at line {beginning(name)}" for name in METHODS]
    lines += [
        f"{name}_layer: checks see the weights {visits(name)} times" for name in ("billm", "pbs2p")
    ]
    unnoted = sum(len(without_shapes(p.read_text("utf-8"))) for p in sources("reference"))
    lines.append(f"lines of the reference that change a shape without saying it: {unnoted}")
    lines.append(f"settings documented twice: {len(documented_twice())}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report())
