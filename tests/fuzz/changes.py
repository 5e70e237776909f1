"""Changes of files: one field of a JSON object, or a few bytes."""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

DEEP = 100_000
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 2.5, -0.5, 1e300, math.inf, math.nan, 10**7, 6 * 10**7,
    10**12, 10**30, "", "x", "all", "float16", "float99", [], [0], [1, 2], [[0, 1]], {}, {"a": 1},
    "9" * 5000, [None] * 3, "../../etc/passwd", "\x00", "é",
)  # fmt: skip
TEXTS: tuple[bytes, ...] = (
    b"", b" ", b"{}", b"[]", b"null", b"3", b'"x"', b"{", b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b"[" * DEEP, b'{"a":' * DEEP, b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", b"9" * DEEP,
    b'{"a": 1, "a": 2}', b"{}" + b" " * DEEP, b'{"\\ud800": "\\udfff"}', b"\x00" * 64,
)  # fmt: skip
"""What may stand in place of a JSON file."""


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else ()
    items = enumerate(content) if isinstance(content, list) else items
    for key, value in items:
        yield from _places(value, (*path, key))


def changed(content: Any, rng: np.random.Generator) -> tuple[str, Any]:
    """JSON with one field changed, left out or doubled."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    *path, last = places[rng.integers(len(places))]
    inner = content
    for key in path:
        inner = inner[key]
    match rng.integers(6):
        case 0:
            del inner[last]
            return f"{[*path, last]} left out", content
        case 1 if isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
            return f"{[*path, last]} twice", content
        case 2 if isinstance(inner[last], int):
            inner[last] += int(rng.integers(-3, 4))
        case _:
            inner[last] = VALUES[rng.integers(len(VALUES))]
    return f"{[*path, last]} = {str(inner[last])[:40]}", content


def changed_text(content: Any, rng: np.random.Generator) -> tuple[str, bytes]:
    """A JSON file with one field changed, or with something else in its place."""
    if rng.integers(16) == 0:
        data = TEXTS[rng.integers(len(TEXTS))]
        return f"{data[:20]!r} in its place", data
    what, content = changed(content, rng)
    return what, json.dumps(content).encode()


def changed_bytes(
    data: bytes, rng: np.random.Generator, within: int | None = None
) -> tuple[str, bytes]:
    """Bytes that are cut, with one more, with another bit, or with an extreme number in them."""
    changed = bytearray(data)
    place = int(rng.integers(within or len(data)))
    match rng.integers(6):
        case 0:
            return f"cut at {place}", bytes(changed[:place])
        case 1:
            return f"a byte more at {place}", bytes(changed[:place] + b"\x00" + changed[place:])
        case 2:
            word = bytes((0xFF if rng.integers(2) else 0, *[0xFF] * int(rng.integers(8))))
            changed[place : place + len(word)] = word
            what = f"{word.hex()} at {place}"
        case 3:
            number = (2 ** int(rng.integers(1, 64)) - int(rng.integers(2))).to_bytes(8, "little")
            changed[place : place + 8] = number
            what = f"{number.hex()} at {place}"
        case _:
            what = ""
    if bytes(changed) == data:
        changed[place] ^= 1 << int(rng.integers(8))
        what = f"a bit of byte {place}"
    return what, bytes(changed)
