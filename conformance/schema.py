"""Schemas of the project's JSON files
===================================

They are in the folder ``schemas``, a file for each kind. The library that compares is imported
when it is needed, since a machine that only runs cases may not have it.
"""

import json
from importlib.resources import files
from typing import Any


def read_schema(name: str) -> dict[str, Any]:
    """Return a schema.

    Parameters
    ----------
    name : str
        Its file, without the ending.

    Returns
    -------
    dict
        The schema.

    Examples
    --------
    >>> read_schema("manifest")["type"]
    'object'
    """
    place = files("subbit.conformance").joinpath(f"schemas/{name}.json")
    schema: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return schema


def check_schema(content: object, name: str) -> None:
    """Hold the content of a file to its schema.

    Parameters
    ----------
    content : object
        What the file holds.
    name : str
        Its schema, without the ending.

    Raises
    ------
    ValueError
        If it does not fit; the message is one line.

    Examples
    --------
    >>> check_schema([], "manifest")
    Traceback (most recent call last):
        ...
    ValueError: [] is not of type 'object'
    """
    import jsonschema

    try:
        jsonschema.validate(content, read_schema(name))
    except jsonschema.ValidationError as error:
        raise ValueError(str(error).splitlines()[0]) from error
