"""The tables of records and configurations in `docs/format.md`.

Run as a script it prints them.
"""

import inspect
import json
import re
import sys

from project import ROOT
from subbit.conformance.programs.forms import CONFIGS, RECORDS, Codec
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Choice, Choices, Orders, Real, Share, Whole
from subbit.reference.contracts.settings import Maybe, Pattern, Range, domains

PAGE = ROOT / "docs" / "format.md"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _fields(kind: type) -> list[tuple[str, str]]:
    """Fields of a record with their types, from its documentation."""
    text = re.split(r"\n(\w+)\n-+\n", inspect.getdoc(kind) or "")[2]
    return [
        (name.strip(), of)
        for names, of in re.findall(r"^(\w[\w, ]*) : (.*)$", text, re.MULTILINE)
        for name in names.split(",")
    ]


def records() -> str:
    """One row for each field of each record."""
    return _table(
        ("record", "field", "value"),
        [
            (f"`{n}`", f"`{field}`", of)
            for n, kind in RECORDS.items()
            for field, of in _fields(kind)
        ],
    )


def _json(value: object) -> str:
    return f"`{json.dumps(Codec().write(value))}`"


_OPTIONS = {
    Choice: lambda kind: " ".join(map(_json, kind.options)),
    Whole: lambda kind: f"{kind.least} to {kind.most}",
    Real: lambda kind: f"{kind.least} to {kind.most}",
    Share: lambda _: "0 to 1",
    Maybe: lambda kind: f"{_options(kind.of)}, or `null`",
    Pattern: lambda _: "N, M",
    Range: lambda _: "least, most",
    Choices: lambda kind: "several of " + " ".join(map(_json, kind.options)),
    Orders: lambda kind: f"{kind.number} orders, 1 or more",
}


def _options(kind: Kind) -> str:
    return _OPTIONS[type(kind)](kind)


def settings() -> str:
    """One row for each setting, with the configurations that have it and their defaults."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for config, kind in CONFIGS.items():
        default = kind().switches()
        for name, domain in domains(kind).items():
            found.setdefault((name, _options(domain)), {})[config] = _json(default[name])
    return _table(
        ("setting", "values", "default of"),
        [(f"`{name}`", options, _defaults(own)) for (name, options), own in sorted(found.items())],
    )


def _defaults(own: dict[str, str]) -> str:
    by: dict[str, list[str]] = {}
    for config, default in own.items():
        by.setdefault(default, []).append(config)
    return "; ".join(f"{', '.join(configs)}: {default}" for default, configs in by.items())


if __name__ == "__main__":
    sys.stdout.write(f"{records()}\n\n{settings()}\n")
