"""The notation of equation tags, as LaTeX.

A tag says its equation in Unicode, as in ``α_i = ‖W_i‖₁ / c_i over the group's entries``. Here it
becomes pieces: formulas in LaTeX, which a line may be broken between, and the words between them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from terms import ENDS, Item, NotationError, fractions, joined


@dataclass(frozen=True)
class Piece:
    """A formula in LaTeX, or words."""

    text: str
    is_math: bool
    ends: bool = False
    """Whether an equation ends with it."""


GREEK = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma",
    "τ": r"\tau", "φ": r"\varphi", "Δ": r"\Delta", "Σ": r"\Sigma", "ℒ": r"\mathcal{L}",
    "∂": r"\partial", "½": r"\tfrac{1}{2}", "…": r"\dots", "#": r"\#", "ℓ": r"\ell",
}  # fmt: skip
RELATIONS = {
    "=": "=", "≤": r"\le", "≥": r"\ge", "<": "<", ">": ">", "≈": r"\approx", "≠": r"\ne",
    "←": r"\leftarrow", "→": r"\to", "⇒": r"\Rightarrow", "⇐": r"\Leftarrow",
    "⇔": r"\Leftrightarrow", "⊆": r"\subseteq", "∈": r"\in",
}  # fmt: skip
SUMS = {"+": "+", "−": "-", "±": r"\pm", "∓": r"\mp", "⊕": r"\oplus", "∪": r"\cup"}
PRODUCTS = {
    "·": r"\cdot", "∘": r"\circ", "⊙": r"\odot", "×": r"\times", "⊗": r"\otimes",
    "⊘": r"\oslash",
}  # fmt: skip
PAIRS = {
    "(": (")", "(", ")"),
    "[": ("]", "[", "]"),
    "{": ("}", r"\{", r"\}"),
    "|": ("|", r"\lvert", r"\rvert"),
    "‖": ("‖", r"\lVert", r"\rVert"),
    "⌈": ("⌉", r"\lceil", r"\rceil"),
    "⌊": ("⌋", r"\lfloor", r"\rfloor"),
    "⟨": ("⟩", r"\langle", r"\rangle"),
}
SCRIPTS = {
    **{c: ("_", d) for c, d in zip("₀₁₂₃₄₅₆₇₈₉₋₊", "0123456789-+", strict=True)},
    **{c: ("^", d) for c, d in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True)},
    "ᵀ": ("^", r"\top"),
    "'": ("^", r"\prime"),
    "*": ("^", "*"),
}
FUNCTIONS = {
    **{name: rf"\{name}" for name in ("arccos", "cos", "ln", "max", "min")},
    **{
        name: rf"\operatorname{{{name}}}"
        for name in (
            *("Cholesky", "Tr", "clip", "diag", "fl", "int", "mean", "quant", "quantile"),
            *("rank", "round", "sign", "sorted", "topk", "tr", "triu"),
        )
    },
    "argmin": r"\operatorname*{arg\,min}",
    "log2": r"\log_2",
}
# Functions that are words where no parenthesis follows.
CALLED = {"int", "rank", "round", "sorted"}
# Words of two letters; any other two letters are a product.
SHORT = {"an", "as", "at", "be", "by", "if", "in", "is", "it", "no", "of", "on", "or", "so", "to"}
OPERATORS = {"relation", "sum", "product"}
TEXT_SCRIPTS = {"in", "ns"}
HAT = "\N{COMBINING CIRCUMFLEX ACCENT}"
LETTER = rf"[A-Za-zα-ωΔΣℒ]{HAT}?"

TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
    | (?P<reference>\(B?\d+\)(?=$|\s|,))
    | (?P<code>[a-z]{{2,}}_[a-z]{{2,}}(?=\())
    | (?P<function>log2|{"|".join(sorted(FUNCTIONS, key=len, reverse=True))})(?![A-Za-z'-])
    | (?P<symbol>(?:[LS]I|L{HAT}?[12])(?![A-Za-z0-9]))
    | (?P<word>[A-Za-z]{{2,}}(?:['-][A-Za-z]+)*)(?!{HAT})
    | (?P<letter>{LETTER}|[∂½…\#ℓ])
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<mark>\S)
    """,
    re.VERBOSE,
)
SUBSCRIPT = re.compile(rf":,?{LETTER}|(?:{LETTER})+\d*(?:,{LETTER}|:(?!\s))?|\d+")
ARTICLE = re.compile(r"a (?!of\b|or\b|is\b)[a-z]{2,}")


def spelled(text: str) -> str:
    """Write letters with accents as letters and accents."""
    return "".join(unicodedata.normalize("NFD", c) if c.isalpha() else c for c in text)


def letters(run: str) -> str:
    """Letters in a row, each with its accent, in LaTeX."""
    out = []
    for letter in re.findall(rf".{HAT}?", run):
        base = GREEK.get(letter[0], letter[0])
        out.append(rf"\hat{{{base}}}" if letter.endswith(HAT) else base)
    return " ".join(out)


def numbered(text: str) -> str:
    """A letter and its number, which tags write on the line."""
    return f"{letters(text[:-1])}_{{{text[-1]}}}"


class Reader:
    """Reads a formula from left to right."""

    def __init__(self, formula: str) -> None:
        self.text = spelled(formula)
        self.at = 0

    def fail(self, why: str) -> NotationError:
        """Build the error for this place."""
        return NotationError(f"{why} at {self.text[self.at :]!r}")

    def items(self, closing: str = "") -> list[Item]:
        """Terms up to a closing mark, or to the end."""
        found: list[Item] = []
        spaced = False
        while self.at < len(self.text):
            if closing and self.text[self.at] == closing:
                self.at += 1
                return found
            match = TOKEN.match(self.text, self.at)
            assert match is not None  # noqa: S101 - any character is a mark
            if match.lastgroup == "space":
                self.at, spaced = match.end(), True
                if found and found[-1].kind in {"comma", "colon"} and len(match[0]) > 1:
                    found[-1] = replace(found[-1], kind="break")
                continue
            found += [replace(item, spaced=spaced) for item in self.term(match)]
            spaced = False
        if closing:
            raise self.fail(f"{closing} is missing")
        return found

    def term(self, match: re.Match[str]) -> list[Item]:
        """One token, with what belongs to it."""
        kind, text = str(match.lastgroup), match[0]
        self.at = match.end()
        if kind in {"function", "word"}:
            return self.function(text) if kind == "function" else self.word(text)
        if kind == "letter" and self.is_article(match):
            return [Item("words", text)]
        if kind == "letter" and text == "Σ" and self.has_operand():
            return [Item("prefix", self.scripts(r"\sum"))]
        match kind:
            case "reference":
                found = Item("words", text)
            case "code":
                found = Item("prefix", rf"\mathtt{{{text}}}".replace("_", r"\_"))
            case "symbol":
                is_named = text.endswith("I")
                found = self.scripted(rf"\mathrm{{{text}}}" if is_named else numbered(text))
            case "letter":
                found = self.scripted(letters(text))
            case "number":
                before, after = self.text[: match.start()][-1:], self.text[self.at :][:1]
                is_vector = text == "1" and (before == "S" or after == "ᵀ")
                found = self.scripted(rf"\mathbf{{{text}}}" if is_vector else text)
            case _:
                found = self.mark(text)
        return [found]

    def is_article(self, match: re.Match[str]) -> bool:
        """Tell the word from the variable: it begins a phrase, or goes on with one."""
        before = self.text[: match.start()].rstrip()
        can_stand = not before or bool(re.search(r"[a-z]{2}$|,$", before))
        return can_stand and ARTICLE.match(self.text, match.start()) is not None

    def has_operand(self) -> bool:
        """Tell a sum's sign from the letter that stands for a sum."""
        return re.match(r"\s*(?:$|[)+−,]|/)", self.text[self.at :]) is None

    def function(self, name: str) -> list[Item]:
        """A function, or the word of that name if words or nothing follow."""
        rest = self.text[self.at :]
        scripts = self.scripts("")
        if not scripts:
            after = TOKEN.match(self.text, self.at + len(rest) - len(rest.lstrip()))
            follows = after[0] if after else ""
            if follows in {"+", "−", "/", ")"}:
                return [Item("atom", rf"\text{{{name}}}")]
            if (after is None or after.lastgroup == "word" or follows in {*RELATIONS, ","}) or (
                name in CALLED and follows != "("
            ):
                return [Item("words", name)]
        return [Item("prefix", FUNCTIONS[name] + scripts)]

    def word(self, text: str) -> list[Item]:
        """A word, the name of a variable, or two letters as a product."""
        if self.text[self.at : self.at + 1] == "_":
            return [self.scripted(rf"\mathrm{{{text}}}")]
        if len(text) > 2 or text in SHORT:
            return [Item("words", text)]
        return [Item("atom", text[0]), self.scripted(text[1])]

    def mark(self, text: str) -> Item:
        """Operators, parentheses and punctuation."""
        for kind, table in (("relation", RELATIONS), ("sum", SUMS), ("product", PRODUCTS)):
            if text in table:
                return Item(kind, table[text])
        if text in PAIRS:
            closing, left, right = PAIRS[text]
            inside = joined(fractions(self.items(closing)))
            both = rf"\left{left} {inside} \right{right}"
            item = self.scripted(both)
            bare = text == "(" and item.tex == both
            return replace(item, kind="group" if bare else "atom", inside=inside)
        if text == "√":
            return Item("atom", rf"\sqrt{{{self.operand()}}}")
        kinds = {"/": "slash", ",": "comma", ":": "colon", ";": "comma"}
        if text in kinds:
            return Item(kinds[text], text)
        self.at -= 1
        raise self.fail(f"{text!r} (U+{ord(text):04X}) is not in the notation")

    def operand(self) -> str:
        """What a root stands over: one term, and what a function is applied to."""
        found: list[Item] = []
        while not found or found[-1].kind == "prefix":
            match = TOKEN.match(self.text, self.at)
            if match is None:
                raise self.fail("the operand is missing")
            if match.lastgroup == "space":
                self.at = match.end()
                continue
            found += self.term(match)
        return found[0].inside if found[0].kind == "group" else joined(found)

    def scripted(self, base: str) -> Item:
        """An atom with its indices and exponents."""
        return Item("atom", self.scripts(base))

    def scripts(self, base: str) -> str:
        """Read indices and exponents, and put them to the base."""
        found = {"_": "", "^": ""}
        while self.at < len(self.text):
            mark = self.text[self.at]
            if mark in SCRIPTS:
                where, what = SCRIPTS[mark]
                self.at += 1
            elif mark in found:
                where, what = mark, self.script()
            else:
                break
            found[where] += what
        return base + "".join(f"{where}{{{what}}}" for where, what in found.items() if what)

    def script(self) -> str:
        """An index or exponent that is written on the line."""
        self.at += 1
        if self.text[self.at : self.at + 1] in {"{", "‖"}:
            match = re.compile("[{‖]").match(self.text, self.at)
            assert match is not None  # noqa: S101 - it was looked at
            return self.mark_inside(match)
        match = SUBSCRIPT.match(self.text, self.at)
        if match is None:
            raise self.fail("an index is missing")
        self.at = match.end()
        text = match[0]
        if re.fullmatch(r"[A-Za-z]{3,}", text) or text in TEXT_SCRIPTS:
            return rf"\text{{{text}}}"
        return re.sub(r"[^\W\d_](?:\u0302)?", lambda m: letters(m[0]) + " ", text).strip()

    def mark_inside(self, match: re.Match[str]) -> str:
        """An index in braces, which do not show, or a norm."""
        self.at = match.end()
        if match[0] == "{":
            return joined(fractions(self.items("}")))
        return rf"\lVert {joined(fractions(self.items('‖')))} \rVert"


def pieces(formula: str) -> list[Piece]:
    """Read a tag: its formulas, each as far as a line cannot be broken, and its words.

    Parameters
    ----------
    formula : str
        What a tag says after its number and its paper.

    Returns
    -------
    list of Piece
        The pieces in order.
    """
    out: list[Piece] = []
    for run in runs(fractions(Reader(formula).items())):
        is_math = run[0].kind != "words"
        ends = run[-1].kind == "break"
        if is_math:
            goes_on = bool(out) and not out[-1].text.endswith((",", ":", ";"))
            lead = "{}" if run[0].kind in OPERATORS and goes_on else ""
            text = f"{lead}{joined(run)}{'{}' if run[-1].kind in OPERATORS else ''}"
        else:
            text = "".join(f" {item.tex}" if item.kind == "words" else item.tex for item in run)
        out.append(Piece(text.strip(), is_math, ends))
    return out


def runs(items: list[Item]) -> Iterator[list[Item]]:
    """Divide a formula where a line may be broken."""
    run: list[Item] = []
    for item in items:
        if run and begins_anew(run, item):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def begins_anew(run: list[Item], item: Item) -> bool:
    """Tell where a line may be broken: as in books, before relations, plus and minus."""
    last, is_words = run[-1].kind, run[0].kind == "words"
    if last == "break" or (last == "comma" and not is_words):
        return True
    if item.kind == "words":
        return not is_words
    if is_words:
        return item.kind not in {"comma", "colon", "break"}
    return item.kind in {"relation", "sum"} and last not in ENDS


def latex(formula: str) -> str:
    """Write a tag as one formula in LaTeX, words as text.

    Parameters
    ----------
    formula : str
        What a tag says after its number and its paper.

    Returns
    -------
    str
        The formula.

    Raises
    ------
    NotationError
        If the tag is not in the notation.
    """
    return " ".join(
        piece.text if piece.is_math else rf"\text{{ {piece.text} }}" for piece in pieces(formula)
    )
