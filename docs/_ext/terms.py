"""Terms of a formula in LaTeX, and how they are put in a row.

What `notation` reads from left to right becomes fractions, text and formulas here.
"""

from collections.abc import Iterator
from dataclasses import dataclass


class NotationError(ValueError):
    """A tag that is not in the notation."""


@dataclass(frozen=True)
class Item:
    """A term of a formula.

    Its kind is `atom`, `group` (in parentheses; then `inside` is what they enclose), `prefix`
    (applied to what follows), `relation`, `sum` (plus or minus), `product`, `slash`, `comma`,
    `colon` or `words`.
    """

    kind: str
    tex: str
    inside: str = ""
    spaced: bool = False
    """Whether a space precedes it."""


ENDS = {"relation", "sum", "comma", "colon", "break", "words"}


def fractions(items: list[Item]) -> list[Item]:
    """Write quotients as fractions: small ones without spaces around the slash."""
    out: list[Item] = []
    rest = list(items)
    while rest:
        item = rest.pop(0)
        if item.kind != "slash":
            out.append(item)
            continue
        if not out or not rest or out[-1].kind in ENDS or rest[0].kind in ENDS:
            raise NotationError("a slash without a numerator or a denominator")
        loose = item.spaced
        above = list(numerator(out)) if loose else [out.pop()]
        if loose:
            del out[len(out) - len(above) :]
        below = list(denominator(rest)) if loose else [rest[0]]
        del rest[: len(below)]
        over = r"\frac" if loose else r"\tfrac"
        tex = f"{over}{{{unwrapped(above)}}}{{{unwrapped(below)}}}"
        out.append(Item("atom", tex, spaced=above[0].spaced))
    return out


def numerator(items: list[Item]) -> list[Item]:
    """Return all factors before the slash."""
    start = len(items)
    while start and items[start - 1].kind not in ENDS:
        start -= 1
    return items[start:]


def denominator(items: list[Item]) -> Iterator[Item]:
    """Yield the factors after the slash that belong to it.

    They are those without a space between them, and all that a sum or a function applies to.
    """
    applied = False
    for place, item in enumerate(items):
        if item.kind in ENDS or item.kind == "slash":
            return
        if place and item.spaced and not applied:
            return
        applied = applied or item.kind == "prefix"
        yield item


def unwrapped(items: list[Item]) -> str:
    """LaTeX of some factors, without the parentheses that a fraction makes needless."""
    if len(items) == 1 and items[0].kind == "group":
        return items[0].inside
    return joined(items)


BESIDE_WORDS = {"atom", "group", "prefix", "words"}


def joined(items: list[Item]) -> str:
    """LaTeX of terms in a row; words become text."""
    out: list[str] = []
    for place, item in enumerate(items):
        before, after = items[place - 1 : place], items[place + 1 : place + 2]
        if item.kind == "words":
            lead = " " if before and before[0].kind in BESIDE_WORDS - {"words"} else ""
            tail = " " if after and after[0].kind in BESIDE_WORDS else ""
            out.append(rf"\text{{{lead}{item.tex}{tail}}}")
        else:
            out.append(item.tex)
            out += [r"\ "] if item.kind in {"break", "comma"} and after else []
    return " ".join(out)
