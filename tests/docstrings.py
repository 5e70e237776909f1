"""Docstrings of public names, tested against the checks that pyproject.toml chooses.

numpydoc's own command reads files without importing them, and so knows neither the parameters of
dataclasses nor properties; its validator, which imports, does.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from numpydoc.validate import validate

from project import PYPROJECT, import_name, sources

SETTINGS = PYPROJECT["tool"]["numpydoc_validation"]
NEEDS = {"subbit.conformance.models.hf": "torch", "subbit.fast.device.cuda": "cupy"}


def modules(*rooms: str) -> Iterator[str]:
    """Names of the modules whose imports are installed."""
    for path in sources(*rooms):
        name = import_name(path)
        needed = NEEDS.get(name)
        missing = needed and importlib.util.find_spec(needed) is None
        if path.name != "__main__.py" and not missing:
            yield name


def own_names(owner: object, module: str) -> Iterator[str]:
    """Public functions and classes that a module defines itself, or public members of a class."""
    for name, value in vars(owner).items():
        inner = value.fget if isinstance(value, property) else inspect.unwrap(value)
        inner = getattr(inner, "__func__", inner)
        is_code = inspect.isfunction(inner) or inspect.isclass(inner)
        if not name.startswith("_") and is_code and inner.__module__ == module:
            yield name


def public_names(*rooms: str) -> list[str]:
    """Full names of public functions, classes and methods."""
    found = []
    for module in modules(*rooms):
        loaded = importlib.import_module(module)
        for name in own_names(loaded, module):
            found.append(f"{module}.{name}")
            value = getattr(loaded, name)
            if inspect.isclass(value):
                found += [f"{module}.{name}.{inner}" for inner in own_names(value, module)]
    return found


def loaded(name: str) -> object:
    """The object that a full name refers to."""
    owner, _, inner = name.rpartition(".")
    return sys.modules[name] if name in sys.modules else getattr(loaded(owner), inner)


def is_implementation(name: str) -> bool:
    """Tell methods that fill an interface: it documents their parameters."""
    owner, _, method = name.rpartition(".")
    value = None if owner in sys.modules else loaded(owner)
    bases = [*value.__mro__[1:]] if inspect.isclass(value) else []
    # Models fill a protocol without inheriting from it.
    model = importlib.import_module("subbit.conformance.models.base").DecoderModel
    if owner.startswith("subbit.conformance.models.") and value is not model:
        bases.append(model)
    own = [base for base in bases if base.__module__.startswith("subbit.")]
    return any(inspect.getdoc(vars(base).get(method)) for base in own)


def inherited_fields(name: str) -> set[str]:
    """Fields of a dataclass that a base documents."""
    value = loaded(name)
    bases = value.__mro__[1:] if inspect.isclass(value) else ()
    return {field.name for base in bases if is_dataclass(base) for field in fields(base)}


def is_about(message: str, names: set[str]) -> bool:
    """Tell a complaint of parameters that are all among some names."""
    listed = re.search(r"\{(.*)\}", message)
    return bool(listed) and set(re.findall(r"'(\w+)'", listed[1])) <= names


def is_without_own_init(name: str) -> bool:
    """Tell classes whose parameters are those of a documented base, and protocols."""
    module, _, inner = name.rpartition(".")
    if module not in sys.modules:
        return False
    value = getattr(sys.modules[module], inner)
    is_protocol = getattr(value, "_is_protocol", False)
    return inspect.isclass(value) and ("__init__" not in vars(value) or is_protocol)


def faults(name: str) -> list[str]:
    """Faults of one name's docstring."""
    if any(re.search(pattern, name) for pattern in SETTINGS["exclude"]):
        return []
    ignored = set(SETTINGS["checks"])
    if is_implementation(name):
        ignored |= {"PR01", "RT01", "YD01"}
    if is_without_own_init(name):
        ignored |= {"PR01"}
    report = validate(name)
    place = f"{report['file']}:{report['file_line']}"
    return [
        f"{place}: {name}: {code} {message}"
        for code, message in report["errors"]
        if code not in ignored
        and not (code == "PR01" and is_about(message, inherited_fields(name)))
    ]


if __name__ == "__main__":
    names = public_names()
    found = [fault for name in names for fault in faults(name)]
    sys.stdout.write("".join(fault + "\n" for fault in found))
    sys.stdout.write(f"{len(found)} faults in {len(names)} docstrings\n")
    sys.exit(bool(found))
