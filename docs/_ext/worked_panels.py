"""What a step of a worked example shows: cells, tables, curves and bars, as HTML.

Everything is text and tables with captions, so that a page says the same without styles, without
scripts and to a screen reader; colors repeat what the text says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Protocol

import numpy as np

from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Array, Mask

MINUS, NOTHING = "\N{MINUS SIGN}", ""
WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 460, 210, 62, 36, 12
"""Sizes of a curve's drawing, and of its margins."""


class Panel(Protocol):
    """Something that is shown."""

    def html(self) -> str:
        """Return the panel as HTML."""
        ...


def number(value: float, digits: int = 2) -> str:
    """Write a number with a true minus sign, and zero without a sign."""
    text = f"{value:.{digits}f}"
    bare = text.lstrip("-")
    return bare if float(bare) == 0.0 else text.replace("-", MINUS)


def few(value: float, digits: int = 3) -> str:
    """Write a number with few significant digits, without an exponent."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.10f}".rstrip("0").rstrip(".").replace("-", MINUS)


def boxed(table: str, label: str) -> str:
    """Put a table into a box that scrolls, which the keyboard can reach."""
    said = escape(label, quote=True)
    return f'<div class="worked-box" tabindex="0" role="region" aria-label="{said}">{table}</div>'


@dataclass(frozen=True, eq=False)
class Cells:
    """A matrix, cell by cell.

    Parameters
    ----------
    caption : str
        What it is.
    words : list of list of str
        The text of each cell.
    looks : list of list of str
        Its CSS classes.
    tones : ndarray of float64, shape (n, k), optional
        How strongly each cell is tinted, from -1 to 1.
    first : int
        Number of the first column.
    marked : ndarray of bool, shape (k,), optional
        Columns whose heading is marked.
    legend : list of (str, str)
        Class and meaning of the colors.
    names : list of str
        Headings of the rows; their numbers by default.
    """

    caption: str
    words: list[list[str]]
    looks: list[list[str]]
    tones: Array | None = None
    first: int = 0
    marked: Mask | None = None
    legend: Sequence[tuple[str, str]] = ()
    names: Sequence[str] = ()

    def html(self) -> str:
        """Return the table, and below it what its colors mean."""
        width = len(self.words[0])
        marked = np.zeros(width, dtype=bool) if self.marked is None else self.marked
        heads = "".join(
            f'<th scope="col"{" class=worked-marked" if m else ""}>{self.first + j}'
            f"{'<span class=worked-unseen> (salient)</span>' if m else ''}</th>"
            for j, m in enumerate(marked)
        )
        rows = "".join(self._row(i) for i in range(len(self.words)))
        table = (
            f'<table class="worked-cells"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )
        return boxed(table, self.caption) + legend(self.legend)

    def _row(self, i: int) -> str:
        cells = []
        for j, (word, look) in enumerate(zip(self.words[i], self.looks[i], strict=True)):
            tone = 0.0 if self.tones is None else float(self.tones[i, j])
            style = f' style="--tone:{abs(tone) * 70:.0f}%"' if tone else ""
            side = " worked-plus" if tone > 0 else " worked-minus" if tone < 0 else ""
            name = f"{look}{side}".strip()
            kind = f' class="{name}"' if name else ""
            cells.append(f"<td{kind}{style}>{escape(word)}</td>")
        name = escape(self.names[i]) if self.names else str(i)
        return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Say what colors mean."""
    listed = "".join(
        f'<li><span class="worked-swatch {look}" aria-hidden="true"></span>{escape(meaning)}</li>'
        for look, meaning in entries
    )
    return f'<ul class="worked-legend">{listed}</ul>' if listed else ""


def percent(caption: str, values: Array) -> Cells:
    """Show how large nonnegative numbers are beside the largest."""
    share = np.maximum(values, 0.0) / values.max()
    words = [[few(100.0 * x, 2) if x > 0.005 else few(100.0 * x, 1) for x in row] for row in share]
    looks = [[""] * len(row) for row in words]
    return Cells(f"{caption}, in percent of the largest", words, looks, np.sqrt(share))


def numbers(
    caption: str,
    values: Array,
    *,
    digits: int = 2,
    shown: Mask | None = None,
    first: int = 0,
    marked: Mask | None = None,
    largest: float | None = None,
) -> Cells:
    """Show a matrix as numbers, tinted by sign and size; entries not `shown` are empty."""
    inside = np.ones(values.shape, dtype=bool) if shown is None else shown
    most = largest or float(np.abs(np.where(inside, values, 0.0)).max()) or 1.0
    pairs = [
        [
            (number(v, digits) if s else NOTHING, "" if s else "worked-none")
            for v, s in zip(*row, strict=True)
        ]
        for row in zip(values, inside, strict=True)
    ]
    words, looks = ([[pair[part] for pair in row] for row in pairs] for part in (0, 1))
    tones = np.where(inside, np.clip(values / most, -1.0, 1.0), 0.0)
    return Cells(caption, words, looks, tones, first, marked)


def kept_and_gone(caption: str, values: Array, kept: Mask, *, marked: Mask | None = None) -> Cells:
    """Show numbers, those that are pruned struck out."""
    cells = numbers(caption, values, marked=marked)
    looks = [["" if k else "worked-gone" for k in row] for row in kept]
    tones = np.where(kept, cells.tones, 0.0)
    meanings = (("", "kept"), ("worked-gone", "pruned"))
    return Cells(caption, cells.words, looks, tones, 0, marked, meanings)


def signs(caption: str, sign: Array, inside: Mask, *, marked: Mask | None = None) -> Cells:
    """Show signs as white and black cells; where a sign is 0, or there is none, as neither."""
    names = {1: ("+", "worked-white"), -1: (MINUS, "worked-black"), 0: ("0", "worked-none")}
    pairs = [
        [names[int(s)] if i else (NOTHING, "worked-none") for s, i in zip(*row, strict=True)]
        for row in zip(sign, inside, strict=True)
    ]
    words, looks = ([[pair[part] for pair in row] for row in pairs] for part in (0, 1))
    return Cells(caption, words, looks, marked=marked)


def grouped(
    caption: str,
    values: Array,
    groups: Mapping[str, Mask],
    *,
    marked: Mask | None = None,
    first: int = 0,
) -> Cells:
    """Show numbers on the colors of their groups; the others are pruned."""
    looks = [["worked-gone"] * values.shape[1] for _ in values]
    for name, mask in groups.items():
        for i, j in np.argwhere(mask):
            looks[i][j] = f"worked-{name}"
    words = [[number(v) for v in row] for row in values]
    meanings = [(f"worked-{n}", f"{n}: {np.count_nonzero(m)}") for n, m in groups.items()]
    if left := values.size - sum(np.count_nonzero(m) for m in groups.values()):
        meanings.append(("worked-gone", f"pruned: {left}"))
    return Cells(caption, words, looks, None, first, marked, meanings)


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers.

    Parameters
    ----------
    caption : str
        What it is.
    heads : tuple of str
        Headings of the columns.
    rows : tuple of tuple of str
        The rows; the first entry of each is its name.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def html(self) -> str:
        """Return the table."""
        heads = "".join(f'<th scope="col">{escape(h)}</th>' for h in self.heads)
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(x)}</td>" for x in cells)
            + "</tr>"
            for name, *cells in self.rows
        )
        table = (
            f'<table class="worked-table"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )
        return boxed(table, self.caption)


def levels(caption: str, groups: Sequence[BinaryGroup]) -> Table:
    """List the means and row scales of some groups, a row for each row of the block."""
    heads, columns = ["row"], []
    for group in groups:
        if group.mean is not None:
            heads.append(f"{group.name}: \N{GREEK SMALL LETTER MU}")
            columns.append(group.mean)
        for order, plane in enumerate(group.planes, 1):
            which = f" {order}" if len(group.planes) > 1 else ""
            heads.append(f"{group.name}: \N{GREEK SMALL LETTER ALPHA}{which}")
            columns.append(plane.row_scale)
    body = np.column_stack(columns)  # (n, levels)
    rows = tuple((str(i), *(number(x, 3) for x in row)) for i, row in enumerate(body))
    return Table(caption, tuple(heads), rows)


@dataclass(frozen=True)
class Line:
    """A curve.

    Parameters
    ----------
    name : str
        What it is.
    xs, ys : list of float
        Its points.
    names : list of str
        What each point is called, where numbers are listed.
    look : str
        The group whose color it has.
    """

    name: str
    xs: list[float]
    ys: list[float]
    names: list[str]
    look: str = "line"


@dataclass(frozen=True)
class Curves:
    """Curves over one axis, with their numbers.

    Parameters
    ----------
    caption : str
        What they are.
    across, up : str
        What the axes are.
    lines : list of Line
        The curves.
    chosen : tuple of (float, float), optional
        A point to mark.
    """

    caption: str
    across: str
    up: str
    lines: Sequence[Line]
    chosen: tuple[float, float] | None = None
    zero: bool = field(default=False)
    """Whether the vertical axis begins at zero."""

    def html(self) -> str:
        """Return a drawing, and all of its numbers in a table that unfolds."""
        xs, ys = ([v for line in self.lines for v in getattr(line, a)] for a in ("xs", "ys"))
        low = 0.0 if self.zero else max(min(ys) - 0.05 * (max(ys) - min(ys) or max(ys)), 0.0)
        frame = _Frame((min(xs), max(xs) + (max(xs) == min(xs))), (low, max(ys) or 1.0))
        inside = frame.axes(self.across, self.up)
        inside += "".join(frame.line(line) for line in self.lines)
        if self.chosen:
            inside += frame.ring(*self.chosen)
        drawn = (
            f'<svg class="worked-curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(self.caption, quote=True)}">{inside}</svg>'
        )
        entries = [(f"worked-{x.look}", x.name) for x in self.lines] if len(self.lines) > 1 else []
        return (
            f'<figure class="worked-figure"><figcaption>{escape(self.caption)}</figcaption>{drawn}'
            f"{legend(entries)}<details><summary>Its numbers</summary>"
            f"{''.join(self._listed(line) for line in self.lines)}</details></figure>"
        )

    def _listed(self, line: Line) -> str:
        rows = tuple((n, few(y, 4)) for n, y in zip(line.names, line.ys, strict=True))
        return Table(line.name, (self.across, self.up), rows).html()


class _Frame:
    """Where the values of two axes lie in a drawing."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self._across, self._up = across, up

    def x(self, value: float) -> float:
        low, high = self._across
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 14)

    def y(self, value: float) -> float:
        low, high = self._up
        return HEIGHT - BELOW - (value - low) / (high - low) * (HEIGHT - BELOW - ABOVE)

    def axes(self, across: str, up: str) -> str:
        """Draw both axes with their ends and names."""
        bottom, right = HEIGHT - BELOW, WIDTH - 14
        (x0, x1), (y0, y1) = self._across, self._up
        place = f'x="13" y="{(bottom + ABOVE) / 2:.0f}"'
        turn = f'transform="rotate(-90 13 {(bottom + ABOVE) / 2:.0f})"'
        middle = (LEFT + right) // 2
        return (
            f'<path class="worked-axis" d="M{LEFT} {ABOVE}V{bottom}H{right}"/>'
            f'<text x="{LEFT}" y="{bottom + 14}" text-anchor="start">{_end(x0)}</text>'
            f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{_end(x1)}</text>'
            f'<text x="{LEFT - 5}" y="{bottom}" text-anchor="end">{_end(y0)}</text>'
            f'<text x="{LEFT - 5}" y="{ABOVE + 8}" text-anchor="end">{_end(y1)}</text>'
            f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>'
            f'<text {place} {turn} text-anchor="middle">{escape(up)}</text>'
        )

    def line(self, line: Line) -> str:
        """Draw a curve, and its points if they are few."""
        places = [(self.x(x), self.y(y)) for x, y in zip(line.xs, line.ys, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        radius = 2.6 if len(places) <= 40 else 1.4
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in places)
        return f'<g class="worked-{line.look}"><polyline points="{path}"/>{dots}</g>'

    def ring(self, x: float, y: float) -> str:
        """Mark a point."""
        return f'<circle class="worked-ring" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="6.5"/>'


def _end(value: float) -> str:
    return number(value, 0) if value == int(value) else few(value)


@dataclass(frozen=True)
class Bars:
    """Numbers with a bar beside each.

    Parameters
    ----------
    caption : str
        What they are.
    heads : tuple of (str, str)
        Headings of the names and of the numbers.
    rows : list of (str, float)
        Name and number.
    """

    caption: str
    heads: tuple[str, str]
    rows: Sequence[tuple[str, float]]

    def html(self) -> str:
        """Return the table."""
        most = max(value for _, value in self.rows) or 1.0
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{few(value)}</td><td class="worked-bar" '
            f'aria-hidden="true"><span style="width:{100 * value / most:.1f}%"></span></td></tr>'
            for name, value in self.rows
        )
        first, second = map(escape, self.heads)
        table = (
            f'<table class="worked-table worked-bars"><caption>{escape(self.caption)}</caption>'
            f'<thead><tr><th scope="col">{first}</th><th scope="col">{second}</th><td></td></tr>'
            f"</thead><tbody>{rows}</tbody></table>"
        )
        return boxed(table, self.caption)
