"""Checking vectors
================

Whether a tree of vectors is what it says: every file by its schema, every folder by its identity,
every call by its key, every tensor in use, and every correct answer within its own comparisons.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from subbit.conformance.cases.names import parts_of
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import read_call, read_error
from subbit.conformance.programs.forms import Codec, FormError
from subbit.conformance.schema import read_schema
from subbit.reference.errors import ArgumentError

from .record import key_of_call
from .tree import (
    ANSWER_TENSORS,
    ANSWERS,
    CASE,
    EXPECTED,
    INPUT,
    LIST,
    ROOT,
    Case,
    cases_in,
    read_json,
)

_KNOWN = {CASE, INPUT, EXPECTED, ANSWERS, ANSWER_TENSORS}


def schema_of(part: str) -> dict[str, Any]:
    """Return the schema of a file of the tree.

    Parameters
    ----------
    part : {"case", "list", "answers"}
        The file.

    Returns
    -------
    dict
        The schema.
    """
    return {"$ref": f"#/$defs/{part}", "$defs": read_schema("vectors")["$defs"]}


class _Counting(Tensors):
    """Tensors that know which of them were read."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(0, tensors.outside)
        self.read: set[object] = set()

    def take(self, form: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Read an array."""
        self.read.add(form.get("tensor"))
        return super().take(form)


def lint(folder: Path) -> Iterator[str]:
    """Check a tree of vectors.

    Parameters
    ----------
    folder : Path
        The folder that has ``v1``.

    Yields
    ------
    str
        What is wrong, with the file.

    Raises
    ------
    ArgumentError
        If there is no tree.
    """
    validators = {
        part: jsonschema.Draft202012Validator(schema_of(part)) for part in ("case", "list")
    }
    content = read_json(folder / LIST)
    yield from _invalid(validators["list"], content, LIST)
    flags: dict[str, set[str]] = {}
    number = 0
    for number, case in enumerate(cases_in(folder), 1):  # noqa: B007  (counted)
        path = case.folder.relative_to(folder).as_posix()
        said = [*_invalid(validators["case"], case.content, path)]
        yield from said or _case_faults(case, path)
        for flag in case.content.get("flags", ()):
            flags.setdefault(flag, set()).add(path)
    if number != content.get("cases"):
        yield f"{LIST}: expected {content.get('cases')} cases, found {number}"
    yield from _flag_faults(content.get("flags", {}), flags)
    yield from _strangers(folder)


def _flag_faults(
    listed: Mapping[str, Mapping[str, Any]], carried: Mapping[str, set[str]]
) -> Iterator[str]:
    for flag in sorted(listed.keys() | carried.keys()):
        one = listed.get(flag, {"cases": []})
        if set(one["cases"]) != carried.get(flag, set()):
            yield f"{LIST}: the flag {flag} has other cases than those that carry it"
        elif not one["cases"] and not one.get("reason"):
            yield f"{LIST}: the flag {flag} has neither cases nor a reason why there are none"


def _invalid(validator: Any, content: object, path: str) -> Iterator[str]:  # noqa: ANN401
    for error in validator.iter_errors(content):
        place = "/".join(map(str, error.absolute_path)) or "the whole"
        yield f"{path}: {place}: {error.message[:200]}"


def _strangers(folder: Path) -> Iterator[str]:
    for path in sorted((folder / ROOT).rglob("*")):
        inside = path.relative_to(folder).as_posix()
        own = path.parent / CASE
        if path.is_file() and inside != LIST and not (path.name in _KNOWN and own.exists()):
            yield f"{inside}: not a file of vectors"


def _case_faults(case: Case, path: str) -> Iterator[str]:
    content = case.content
    named = (content["level"], content["family"], content["operation"], content["case"])
    if path != "/".join([ROOT, *map(str, named)]):
        yield f"{path}: its own identity is {'/'.join(map(str, named))}"
    inputs, expected = _Counting(case.inputs), _Counting(case.expected)
    try:
        answers = []
        for call in content["calls"]:
            given = read_call(call["function"], call["arguments"], Codec(inputs))
            if key_of_call(call["function"], (), given) != call["key"]:
                yield f"{path}: {call['function']}: the key is that of another call"
            answers.append(_expected(call, expected))
        for one in content["comparisons"]:
            yield from _comparison(one, answers, Codec(expected), path)
    except (FormError, ArgumentError, TypeError) as error:
        yield f"{path}: {error}"
        return
    for file, tensors in ((INPUT, inputs), (EXPECTED, expected)):
        for name in sorted(tensors.outside.keys() - tensors.read):
            yield f"{path}/{file}: {name} is not used"


def _expected(call: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Return the numbers of a correct answer by their places."""
    if "error" in call:
        read_error(call["error"])
        return {}
    answer = Codec(tensors).read(call["value"])
    return {place.strip("."): part for place, part in parts_of(answer).items()}


def _comparison(
    one: Mapping[str, Any], answers: list[dict[str, Any]], codec: Codec, path: str
) -> Iterator[str]:
    if "call" not in one:
        return
    at = f"{path}: {one['what']}"
    if one["call"] >= len(answers) or one["place"] not in answers[one["call"]]:
        yield f"{at}: there is no such place in the answer"
        return
    found, wanted = (
        np.asarray(answers[one["call"]][one["place"]]),
        np.asarray(codec.read(one["expected"])),
    )
    if found.shape != wanted.shape:
        yield f"{at}: expected shape {wanted.shape}, found {found.shape}"
        return
    if "margin" in one:
        codec.read(one["margin"])
    # What is open has a one, and anything else conforms only if it is equal.
    for arithmetic, form in one.get("bound", one.get("open", {"all": None})).items():
        limit = np.zeros(found.shape) if form is None else np.asarray(codec.read(form))
        off = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
        if np.any(off[limit == 0] if "open" in one else ~np.less_equal(off, limit)):
            yield f"{at}: the correct answer does not conform, {arithmetic}"
