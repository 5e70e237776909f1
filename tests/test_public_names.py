"""Public names of the reference: documented, annotated, exported, with their equation at hand."""

import doctest
import importlib
import inspect
import re

import pytest
from numpydoc.docscrape import FunctionDoc

import docstrings
import equations
from project import PYPROJECT, import_name, sources
from subbit import reference

MODULES = [import_name(p) for p in sources("reference") if p.name != "__init__.py"]

# Checks of arguments, small arithmetic and the file format serve inside; a port has its own.
INTERNAL = {
    f"subbit.reference.{name}"
    for name in (
        "columns",
        "blocks",
        "contracts.door",
        "contracts.kind",
        "contracts.kinds",
        "contracts.room",
        "contracts.scalars",
        "contracts.settings",
        "contracts.shown",
        "errors",
        "record_checks",
        "records",
        "stored",
        "groups.group_error",
        "groups.nearest",
        "groups.quantiles",
        "groups.start",
        "groups.together",
        "least_squares",
        "pruning.importance",
        "storage.group_layout",
        "storage.haar_layout",
        "storage.kept_entries",
        "storage.level_layout",
        "storage.product_layout",
        "storage.owners",
        "storage.record_layout",
        "storage.record_tensors",
        "zones.partition",
        "zones.sorted_rows",
    )
}

# They say how far a port may lie from the reference; no port has such functions.
APART = {name for name in MODULES if re.search(r"\.(bounds|rounding)", name)}

# An equation, algorithm or section of a paper, or a numbered equation of our own.
CITES = re.compile(
    r"(?P<paper>[\w-]+), arXiv [^;]*?(Eqs?\. |Algorithm |Theorem |[Ss]ection |SPBO|CFS)"
)
OURS = re.compile(r"(Eq\. \(\d+\w?\)), subbit")


def public(kind):
    modules = [(name, importlib.import_module(name)) for name in MODULES]
    return [
        pytest.param(getattr(module, inner), id=f"{name.rpartition('.')[2]}.{inner}")
        for name, module in modules
        for inner in docstrings.own_names(module, name)
        if kind(getattr(module, inner))
    ]


FUNCTIONS = public(inspect.isfunction)
CLASSES = public(inspect.isclass)


@pytest.fixture(scope="module")
def tags():
    return [tag.key for tag in equations.tags()]


@pytest.fixture(scope="module")
def papers():
    return set(equations.papers(equations.TABLE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", docstrings.public_names("reference"))
def test_docstring_is_sound(name):
    assert docstrings.faults(name) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_example_is_there(function):
    assert doctest.DocTestParser().get_examples(function.__doc__)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_signature_is_annotated(function):
    signature = inspect.signature(function)
    bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert bare == []
    assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("function", FUNCTIONS)
def test_parameters_and_result_say_their_shape_or_type(function):
    """An array without a shape is half a description."""
    if function.__module__ in INTERNAL:
        return
    doc = FunctionDoc(function)
    for part in [*doc["Parameters"], *doc["Returns"]]:
        words = part.type or part.name
        assert words, part
        is_array = words.startswith(("ndarray", "array_like"))
        assert not is_array or "shape" in words or "no axis" in words, words


@pytest.mark.parametrize("function", FUNCTIONS)
def test_equation_is_at_hand(function, tags, papers):
    """It stands above the function's own arithmetic, or its documentation cites it."""
    if function.__module__ in INTERNAL | APART:
        return
    file = function.__module__.partition(".")[2].replace(".", "/") + ".py"
    own = {key.function.partition(".")[0] for key in tags if key.file == file}
    cited = " ".join(FunctionDoc(function)["References"])
    assert function.__name__ in own or cites(cited, papers)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_equation_of_ours_that_is_cited_has_its_home(function, tags):
    ours = {key.label for key in tags if key.paper == "subbit"}
    assert set(OURS.findall(function.__doc__)) <= ours


def cites(text, papers):
    return bool(OURS.search(text)) or any(f["paper"] in papers for f in CITES.finditer(text))


def test_the_rule_sees_a_citation():
    papers = {"BiLLM"}
    assert cites("BiLLM, arXiv 2402.04291v2, Eqs. (1) and (2).", papers)
    assert cites("Eq. (57), subbit.", papers)
    assert cites("PB-LLM, arXiv 2310.00034, section 3; BiLLM, arXiv 2402.04291v2, Eq. (1).", papers)
    assert not cites("BiLLM, arXiv 2402.04291v2.", papers)
    assert not cites("BiLLN, arXiv 2402.04291v2, Eq. (1).", papers)
    assert not cites("The released code.", papers)


@pytest.mark.parametrize("value", FUNCTIONS + CLASSES)
def test_name_is_exported(value):
    if value.__module__ in APART:
        return
    if value.__module__ in INTERNAL and value.__name__ not in reference.__all__:
        assert not hasattr(reference, value.__name__)
    else:
        assert getattr(reference, value.__name__) is value
        assert value.__name__ in reference.__all__


def test_exports_are_there_and_sorted():
    names = reference.__all__
    assert all(hasattr(reference, name) for name in names)
    assert len(names) == len(set(names))


def test_the_checks_are_chosen_with_reasons():
    """All of numpydoc's checks are used, except those excluded by name."""
    assert PYPROJECT["tool"]["numpydoc_validation"]["checks"][0] == "all"
