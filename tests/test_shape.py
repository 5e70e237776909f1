"""A method's file opens on the method, and the algorithms are no longer in words than in code."""

import pytest
import shape

from project import relative, sources

FIRST_SCREENS = 80


@pytest.mark.parametrize("method", shape.METHODS)
def test_a_method_begins_within_its_first_lines(method):
    assert shape.beginning(method) <= FIRST_SCREENS


def test_algorithms_have_no_more_docstring_than_code():
    said, written = shape.documentation(shape.algorithms())
    assert said <= written


def test_docstrings_and_code_are_told_apart(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        '"""One.\n\nTwo.\n"""\n\n# A comment.\n\n\ndef f():\n    """Three."""\n    return "x"\n'
    )
    assert shape.documentation([path]) == (5, 2)


@pytest.mark.parametrize("method", ["billm", "arb_llm", "stbllm", "pbs2p"])
def test_a_layers_weights_are_checked_once(method):
    """At most twice: a function passed in by the caller counts as outside again."""
    assert 1 <= shape.visits(method) <= 2


def test_no_setting_is_documented_twice():
    assert shape.documented_twice() == []


@pytest.mark.parametrize("path", sources("reference"), ids=relative)
def test_lines_that_change_a_shape_say_it(path):
    assert shape.without_shapes(path.read_text(encoding="utf-8")) == []


def test_a_shape_is_noted_at_the_end_or_above():
    noted = "x = y.reshape(1, -1)  # (n,) -> (1, n)\n# (2, n)\nz = np.stack([x, x])\n"
    assert shape.without_shapes(noted) == []
    assert shape.without_shapes("# Two rows.\nx = np.stack([y, y])  # twice\n") == [2]


@pytest.mark.parametrize("house", ["reference", "fast", "conformance"])
def test_rooms_form_no_circle(house):
    arrows = shape.arrows(house)
    last = shape.floors(arrows)[-1]
    assert not [pair for pair in arrows if set(pair) <= set(last)]


def test_floors_are_told_from_circles():
    assert shape.floors({("b", "a"): 1, ("c", "b"): 1}) == [["a"], ["b"], ["c"]]
    assert shape.floors({("b", "a"): 1, ("c", "b"): 1, ("b", "c"): 1}) == [["a"], ["b", "c"]]
