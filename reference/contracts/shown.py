"""What ``help()`` shows
======================

A signature shows names and defaults, since the section Parameters says what is taken, and what
a function returns. Below the summary stand its equations, from ``stated``.
"""

import inspect
import re
from collections.abc import Mapping
from functools import cache
from textwrap import fill
from typing import Any, get_args, get_origin

from subbit.reference.notation import Array, Indices, Mask, Signs

from .stated import STATED

LINE = 96
"""A terminal's 100 columns, less pydoc's margin."""
_ARRAYS = ((Array, "array"), (Mask, "mask"), (Signs, "signs"), (Indices, "indices"))


def short(annotation: Any) -> str:  # noqa: ANN401
    """Return a type as a person writes it.

    Parameters
    ----------
    annotation : object
        The type.

    Returns
    -------
    str
        Names without modules; arrays by what they hold, iterators without what they yield.

    Examples
    --------
    >>> short(tuple[Array, Mask]), short(tuple[int, ...])
    ('tuple[array, mask]', 'tuple[int, ...]')
    """
    if annotation is ...:
        return "..."
    named = next((word for alias, word in _ARRAYS if annotation == alias), "")
    origin = get_origin(annotation)
    if named or origin not in {tuple, list}:
        return named or getattr(origin or annotation, "__name__", str(annotation))
    return f"{origin.__name__}[{', '.join(map(short, get_args(annotation)))}]"


def indented(text: str) -> str:
    """Break the meaning of an argument into lines, as it stands below its name.

    Parameters
    ----------
    text : str
        The meaning.

    Returns
    -------
    str
        Indented lines.

    Examples
    --------
    >>> indented("Weights.")
    '    Weights.'
    """
    return _broken(f"    {text}", LINE - 6, "    ")


def _broken(text: str, width: int, indent: str) -> str:
    # A tuple stays in one line.
    whole = re.sub(r"\([^()]*\)", lambda m: m[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    lines = fill(
        whole,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace("\N{NO-BREAK SPACE}", " ")


class Shown(inspect.Signature):
    """A signature that is short in print; tools find annotations in its parameters.

    Examples
    --------
    >>> from subbit.reference import masked_scale
    >>> str(inspect.signature(masked_scale))
    '(W, mask=None, mean=None) -> array'
    """

    name = ""
    """The function's, where it is known: pydoc writes it twice before the signature."""

    def __str__(self) -> str:
        """Return names, defaults and the answer, on more than one line if it is too long."""
        bare = [p.replace(annotation=p.empty) for p in self.parameters.values()]
        text = str(inspect.Signature(bare))
        if self.return_annotation is not self.empty:
            text += f" -> {short(self.return_annotation)}"
        before = f"subbit.reference.{self.name}_=_{self.name}_"
        lines = _broken(before + text[1:], LINE, "    ").removeprefix(before)
        return f"({lines}"

    def format(self, **_: Any) -> str:  # noqa: ANN401
        """Return the same, whatever width later versions of Python ask for.

        Parameters
        ----------
        **_
            Ignored.

        Returns
        -------
        str
            The signature.
        """
        return str(self)


def shown(signature: inspect.Signature, name: str) -> Shown:
    """Return a signature that is short in print.

    Parameters
    ----------
    signature : Signature
        The signature.
    name : str
        Name of the function or class.

    Returns
    -------
    Shown
        The same parameters and answer.

    Examples
    --------
    >>> def total(W: Array) -> float: ...
    >>> print(shown(inspect.signature(total), "total"))
    (W) -> float
    """
    parameters = list(signature.parameters.values())
    made = Shown(parameters, return_annotation=signature.return_annotation)
    made.name = name
    return made


@cache
def _stated() -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    own: list[str] = []
    for line in STATED.splitlines():
        if line.startswith(" "):
            own.append(line.strip())
        else:
            own = found[line] = []
    return found


def equations_of(module: str, name: str) -> list[str]:
    """Return the equations of a function.

    Parameters
    ----------
    module, name : str
        Where it is defined.

    Returns
    -------
    list of str
        Each with its number and its paper; empty if it only combines others.

    Examples
    --------
    >>> equations_of("subbit.reference.groups.binarize", "masked_scale")
    ["Eq. (12), BiLLM:  α_i = ‖W_i‖₁ / c_i over the group's entries"]
    """
    return _stated().get(f"{module.removeprefix('subbit.reference.')}.{name}", [])
