"""Dependencies point one way, and the reference needs NumPy and scipy only."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest

from project import PYPROJECT, ROOT, import_name, imports, is_test, relative, sources

STANDARD = sys.stdlib_module_names
DISTRIBUTIONS = packages_distributions()


def inside(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def foreign(path, *allowed):
    """Imports outside of the standard library and of `allowed`."""
    return {
        name
        for name in imports(path)
        if name.partition(".")[0] not in STANDARD and not inside(name, *allowed)
    }


@pytest.mark.parametrize("path", sources("reference"), ids=relative)
def test_reference_imports_numpy_and_scipy_linalg_only(path):
    allowed = foreign(path, "numpy", "scipy.linalg", "subbit.reference")
    assert allowed <= {"scipy", "subbit"}
    assert {"scipy", "scipy.linalg"} & set(imports(path)) != {"scipy"}


# From the ground up: a room imports itself and those before it.
METHODS = ("billm", "arb_llm", "stbllm", "pbs2p", "hbllm", "typed_groups", "sign_product")
FLOORS = {
    "reference": (
        ("notation",),
        ("errors",),
        ("least_squares", "stored"),
        ("leveled", "factored", "binary"),
        ("contracts",),
        ("haar",),
        ("signs", "layer"),
        ("record_checks",),
        ("records",),
        ("objective", "hessian"),
        ("compensate", "columns"),
        ("storage",),
        ("groups",),
        ("assign",),
        ("zones",),
        ("pruning",),
        ("blocks", "propagation"),
        ("baselines",),
        ("presets",),
        METHODS,
        ("methods",),
        ("bounds",),
    ),
    "fast": (
        ("device",),
        ("launches",),
        ("mirror",),
        ("signs", "haar", "objective", "hessian"),
        ("compensate",),
        ("groups",),
        ("assign",),
        ("zones",),
        ("pruning",),
        ("blocks", "propagation"),
        ("baselines",),
        METHODS,
        ("port",),
        ("gate", "coverage"),
        ("bandwidth",),
    ),
}
# Everything there holds the machine, and the machine holds everything, for types only.
CIRCULAR = "subbit.fast.device.simulated."


def floor_of(name):
    """`subbit.reference.groups.arb` stands in the room `groups`, on its floor."""
    _, house, room, *_ = name.split(".")
    return next(n for n, rooms in enumerate(FLOORS[house]) if room in rooms), room


def modules_of(house):
    """Modules of a package by name, except its own `__init__`."""
    return {import_name(p): p for p in sources(house) if import_name(p) != f"subbit.{house}"}


@pytest.mark.parametrize("house", FLOORS)
def test_no_room_imports_upward(house):
    """So no algorithm imports a bound, no launch a door, and no method stands on another."""
    known, upward = modules_of(house), []
    for here, path in known.items():
        own, room = floor_of(here)
        for name in set(imports(path)) & set(known):
            floor, other = floor_of(name)
            if floor >= own and room != other:
                upward.append(f"{here} imports {name}")
    assert not upward


@pytest.mark.parametrize("room", ["reference", "fast", "conformance"])
def test_modules_form_no_circle(room):
    """Type-only imports count as well."""
    known = {import_name(p): p for p in sources(room)}
    left = {
        name: {
            n for n in imports(path) if n in known and n != name and not name.startswith(n + ".")
        }
        for name, path in known.items()
        if path.name != "__init__.py" and not name.startswith(CIRCULAR)
    }
    left = {name: {n for n in needs if n in left} for name, needs in left.items()}
    while left:
        free = {name for name, needs in left.items() if not needs & set(left)}
        assert free, f"in a circle, or behind one: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("path", sources("fast"), ids=relative)
def test_fast_imports_the_reference_and_itself(path):
    allowed = ["numpy", "scipy", "subbit.reference", "subbit.fast"]
    if relative(path) == "fast/device/cuda.py":
        allowed.append("cupy")
    assert foreign(path, *allowed) <= {"subbit"}


@pytest.mark.parametrize("path", sources("conformance", tests=True), ids=relative)
def test_conformance_never_imports_fast(path):
    assert not [name for name in imports(path) if inside(name, "subbit.fast", "fast")]


@pytest.mark.parametrize("path", sources(tests=True), ids=relative)
def test_torch_and_cupy_have_one_file_each(path):
    homes = {
        "torch": "conformance/models/hf.py",
        "transformers": "conformance/models/hf.py",
        "cupy": "fast/device/cuda.py",
    }
    for package, home in homes.items():
        if relative(path) != home:
            assert not [name for name in imports(path) if inside(name, package)]


@pytest.mark.parametrize("path", sources(tests=True), ids=relative)
def test_rooms_are_imported_under_their_subbit_names(path):
    """Otherwise a module would run twice, with two of each class."""
    assert not [name for name in imports(path) if inside(name, "reference", "fast", "conformance")]


@pytest.mark.parametrize(
    "path", [p for p in sources("conformance", tests=True) if is_test(p)], ids=relative
)
def test_test_modules_import_absolutely(path):
    """pytest gives a test module another name, in which a relative import would start."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]


def declared():
    """The packages of an installation; users do not have those of `dev`."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    groups = [
        project["dependencies"],
        *(extras[name] for name in ("conformance", "demo", "models")),
    ]
    return {re.split(r"[\[<>=]", text)[0].lower() for group in groups for text in group}


@pytest.mark.parametrize("path", sources(tests=True), ids=relative)
def test_each_import_is_declared(path):
    names = {name.partition(".")[0] for name in foreign(path, "subbit", "cupy")}
    undeclared = {
        name
        for name in names
        if not {d.lower() for d in DISTRIBUTIONS.get(name, [name])} & declared()
    }
    assert not undeclared


def test_each_extra_of_an_import_is_known_to_the_command():
    """The sentence about a missing package names the extra that brings it."""
    from subbit.conformance.command.entry import missing_package

    extras = PYPROJECT["project"]["optional-dependencies"]
    for name in {n.partition(".")[0] for p in sources("conformance") for n in foreign(p, "subbit")}:
        if name in {"numpy", "scipy"}:
            continue
        extra = re.search(r"subbit\[(\w+)\]", missing_package(name))[1]
        packages = {re.split(r"[\[<>=]", text)[0] for text in extras[extra]}
        assert name in packages


def test_the_rules_see_an_import(monkeypatch):
    """The collector itself: absolute, from, relative and inner imports."""
    path = ROOT / "reference" / "imagined.py"
    lines = (
        "import torch.nn",
        "from . import bits",
        "from .x import y",
        "def f():",
        " from a.b import c",
    )
    monkeypatch.setattr(type(path), "read_text", lambda *_, **__: "\n".join(lines))
    assert set(imports(path)) == {
        "torch.nn",
        "subbit.reference",
        "subbit.reference.bits",
        "subbit.reference.x",
        "subbit.reference.x.y",
        "a.b",
        "a.b.c",
    }
