"""Equation tags become LaTeX: every one of them, and the hard ones as they should."""

import re

import pytest

import equations
from notation import NotationError, latex, pieces

COMMANDS = set(
    re.findall(
        r"\\[A-Za-z]+",
        r"""
    \Delta \Leftarrow \Leftrightarrow \Rightarrow \Sigma \alpha \approx \arccos \beta \cdot \circ
    \cos \cup \delta \dots \ell \frac \gamma \ge \hat \in \lVert \lambda \langle \lceil \le \left
    \leftarrow \lfloor \ln \log \lvert \mathbf \mathcal \mathrm \mathtt \max \min \mp \mu \ne \odot
    \operatorname \oplus \oslash \otimes \partial \phi \pi \pm \prime \rVert \rangle \rceil \rfloor
    \rho \right \rvert \sigma \sqrt \subseteq \sum \tau \text \tfrac \theta \times \to \top
    \varepsilon \varphi
    """,
    )
)


@pytest.fixture(scope="module")
def tagged():
    return equations.tags()


@pytest.fixture(scope="module")
def written(tagged):
    """The LaTeX of every tag, by its place; those that are not in the notation, with the reason."""
    found, bad = {}, []
    for tag in tagged:
        place = f"{tag.key.file}:{tag.line}"
        try:
            found[place] = latex(tag.formula)
        except NotationError as reason:
            bad.append(f"{place}: {tag.formula}: {reason}")
    return found, bad


def test_every_tag_is_in_the_notation(written):
    assert written[0]
    assert written[1] == []


def test_only_known_commands_are_written(written):
    used = {
        command
        for text in written[0].values()
        for command in re.findall(r"\\[A-Za-z]+", text.replace(r"\,", ""))
    }
    assert used <= COMMANDS


def test_nothing_but_ascii_is_left(written):
    assert [place for place, text in written[0].items() if not text.isascii()] == []


def test_each_piece_is_whole(tagged):
    for tag in tagged:
        for piece in pieces(tag.formula):
            if piece.is_math:
                bare = re.sub(r"\\[{}]", "", piece.text)
                assert bare.count("{") == bare.count("}"), tag
                assert piece.text.count(r"\left") - piece.text.count(r"\leftarrow") == (
                    piece.text.count(r"\right")
                ), tag
            else:
                assert "\\" not in piece.text, tag


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        # Indices and exponents.
        ("W_:j", "W_{:j}"),
        ("X_:,j", "X_{:,j}"),
        ("W_c: w", "W_{c} : w"),
        ("G_p:", "G_{p :}"),
        ("H^c_BB", "H_{B B}^{c}"),
        ("[H⁻¹]_ii²", r"\left[ H^{-1} \right]_{i i}^{2}"),
        ("α_{t−1}", r"\alpha_{t - 1}"),
        ("e_{G_pq}", "e_{G_{p q}}"),
        ("r_salient", r"r_{\text{salient}}"),
        ("C_in", r"C_{\text{in}}"),
        ("e_‖X‖", r"e_{\lVert X \rVert}"),
        ("p*", "p^{*}"),
        # Accents.
        ("Ŵ_g", r"\hat{W}_{g}"),
        ("μ̂'", r"\hat{\mu}^{\prime}"),
        ("L̂2", r"\hat{L}_{2}"),
        ("x̂^â", r"\hat{x}^{\hat{a}}"),
        # Products without a sign.
        ("αB", r"\alpha B"),
        ("2nc", "2 n c"),
        ("1ᵀS1", r"\mathbf{1}^{\top} S \mathbf{1}"),
        # Quotients.
        ("Σ a / Σ b", r"\frac{\sum a}{\sum b}"),
        ("(a + b) / c d", r"\frac{a + b}{c} d"),
        ("2/N x", r"\tfrac{2}{N} x"),
        ("x / 1ᵀS1", r"\frac{x}{\mathbf{1}^{\top} S \mathbf{1}}"),
        ("|x| / (1 − ρ)", r"\frac{\left\lvert x \right\rvert}{1 - \rho}"),
        ("−(x) / y", r"- \frac{x}{y}"),
        ("(|x| / Σ) / y", r"\frac{\frac{\left\lvert x \right\rvert}{\Sigma}}{y}"),
        # Bars, one next to the other.
        ("|E||U|", r"\left\lvert E \right\rvert \left\lvert U \right\rvert"),
        ("‖|x|‖²", r"\left\lVert \left\lvert x \right\rvert \right\rVert^{2}"),
        # Functions.
        ("√mean c²", r"\sqrt{\operatorname{mean} c^{2}}"),
        ("√(1/N x)", r"\sqrt{\tfrac{1}{N} x}"),
        ("argmin_p θ²(p)", r"\operatorname*{arg\,min}_{p} \theta^{2} \left( p \right)"),
        ("nm_mask(s)", r"\mathtt{nm\_mask} \left( s \right)"),
        ("(max − min)", r"\left( \text{max} - \text{min} \right)"),
        ("LI_l", r"\mathrm{LI}_{l}"),
        # Words among symbols.
        ("{l in group : x}", r"\left\{ l \text{ in } \text{group} : x \right\}"),
    ],
)
def test_a_formula_is_written_as_it_should_be(formula, expected):
    assert " ".join(piece.text for piece in pieces(formula)) == expected


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (
            "μ = mean W,  α = x or y",
            [r"\mu", r"{}= \operatorname{mean} W ,", r"\alpha", "{}= x", "«or»", "y"],
        ),
        ("+1 if x ≥ 0, −1 otherwise", ["+ 1", "«if»", "x", r"{}\ge 0 ,", "- 1", "«otherwise»"]),
        ("a system of 2", ["«a system of»", "2"]),
        ("as by (B44)", ["«as by (B44)»"]),
        ("a = 1", ["a", "{}= 1"]),
        ("round μ", ["«round»", r"\mu"]),
        ("each row's grid, a dead one", ["«each row's grid, a dead one»"]),
    ],
)
def test_lines_break_between_pieces(formula, expected):
    found = [piece.text if piece.is_math else f"«{piece.text}»" for piece in pieces(formula)]
    assert found == expected


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("x ≡ y", "≡"),
        ("x $ y", "U\\+0024"),
        (r"\alpha", "U\\+005C"),
        ("(x + y", "is missing"),
        ("|x", "is missing"),
        ("x + y)", "not in the notation"),
        ("x / = y", "slash"),
        ("x_ + y", "index"),
        ("√", "operand"),
    ],
)
def test_what_is_not_in_the_notation_is_refused(formula, reason):
    with pytest.raises(NotationError, match=reason):
        latex(formula)
