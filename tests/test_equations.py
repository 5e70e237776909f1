"""The code's equation tags and docs/equations.md say the same, both ways."""

import pytest

import equations
from equations import Key
from project import relative, sources


@pytest.fixture(scope="module")
def page():
    return equations.TABLE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tagged():
    return equations.tags()


def test_each_tag_has_its_row(page, tagged):
    listed = equations.rows(page)
    missing = sorted({tag.key for tag in tagged} - listed.keys())
    assert not missing, "run `python tests/equations.py` to see the rows"


def test_each_row_has_its_tag(page, tagged):
    assert sorted(equations.rows(page).keys() - {tag.key for tag in tagged}) == []


def test_each_paper_is_named_with_its_version(page, tagged):
    versions = equations.papers(page)
    assert {tag.key.paper for tag in tagged} <= versions.keys()
    assert {key: row.version for key, row in equations.rows(page).items()} == {
        key: versions[key.paper] for key in equations.rows(page)
    }


def test_each_row_says_how_it_is_known(page):
    """What was read in a paper, or in its code, can only be so where that was read."""
    needed = {"paper": "text", "code": "code", "reported": "", "ours": ""}
    assert needed.keys() == equations.STANDINGS.keys()
    read = equations.read(page)
    for key, row in equations.rows(page).items():
        assert row.standing in needed, key
        if key.paper == "subbit":
            assert row.standing != "paper", key
        else:
            assert row.standing != "ours", key
            assert needed[row.standing] in read[key.paper], key


def test_each_row_says_something(page):
    words = {key: row.words for key, row in equations.rows(page).items()}
    wordless = [key for key, said in words.items() if not said[:1].isalpha()]
    undone = [key for key, said in words.items() if said.startswith("TODO")]
    assert wordless == undone == []


def test_our_own_numbers_mean_one_thing(tagged):
    """A paper's equation may serve in several places; ours are numbered by us."""
    formulas = {}
    for tag in tagged:
        if tag.key.paper == "subbit":
            formulas.setdefault(tag.key.label, set()).add(tag.formula)
    assert {label: f for label, f in formulas.items() if len(f) > 1} == {}


def test_each_tag_stands_above_arithmetic():
    """A line that only calls another function is not where an equation is computed."""
    found = [
        (tag.key.file, tag.line, tag.formula)
        for path in sources()
        for tag in equations.above_calls(path.read_text(encoding="utf-8"), relative(path))
    ]
    assert found == []


def test_there_are_tags(tagged):
    assert len({tag.key.file for tag in tagged if tag.key.file.startswith("reference/")}) >= 3


MODULE = """
class Record:
    def decode(self):
        # Eq. (3a), STBLLM:  Ŵ = α B
        def inner():
            # Alg. 1, GPTQ:  E ← (W − Q) / U
            pass
"""


def test_tags_know_their_function():
    found = [tag.key for tag in equations.tags_in(MODULE, "reference/x.py")]
    assert found == [
        Key("STBLLM", "Eq. (3a)", "Record.decode", "reference/x.py"),
        Key("GPTQ", "Alg. 1", "Record.decode.inner", "reference/x.py"),
    ]


@pytest.mark.parametrize(
    ("line", "computes"),
    [
        ("y = a * f(x)", True),
        ("y = f(x)[a + 1]", False),
        ("y = f(x) if a > 1 else g(x)", False),
        ("y = f(x, mode == 'exact')", False),
        ("y = f(x, mask=~kept)", True),
        ("y = f(g(x), name='a')", False),
        ("y = np.where(mask, x, 0.0)", True),
        ("y = comb(4, 2)", True),
        ("y = rows.sum()", True),
        ("y = group.decode()", False),
        ("y = max(x, key=f)", True),
        ("for y in g(x):\n        z = y", False),
        ("for y in x:\n        z = f(y)", True),
        ("if x:\n        y = a * x", False),
        ("y -= x", True),
        ("return -x", True),
    ],
)
def test_the_rule_tells_arithmetic_from_calls(line, computes):
    head = "import numpy as np\nfrom math import comb\n"
    text = f"{head}def h():\n    # Eq. (1), BiLLM:  y\n    {line}\n"
    assert bool(equations.above_calls(text, "x.py")) != computes


@pytest.mark.parametrize(
    "comment",
    [
        "# Eq. 3, BiLLM:  x",
        "# Eq. (3) BiLLM: x",
        "# eq. (3), BiLLM:  x",
        "# Eq. (3), BiLLM: x",
        "# Eq. (3), BiLLM:  ",
        "# Equation 3, BiLLM:  x",
        "# Alg. (3), BiLLM:  x",
    ],
)
def test_a_tag_outside_the_grammar_is_found(comment):
    with pytest.raises(equations.BadTagError, match="grammar"):
        equations.tags_in(f"def f():\n    {comment}\n    pass\n", "x.py")


def test_a_tag_outside_of_functions_is_found():
    with pytest.raises(equations.BadTagError, match="outside"):
        equations.tags_in("# Eq. (1), BiLLM:  x\n", "x.py")
