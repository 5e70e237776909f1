"""Records of layers that leave out columns, or whose numbers do not fit, are refused."""

import numpy as np
import pytest

from subbit import reference
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup


def block(start, stop, value=1.0):
    shape = (2, stop - start)
    group = ValueGroup("kept", np.ones(shape, dtype=np.bool_), np.full(shape, value))
    return QuantizedBlock(start, stop, (group,))


@pytest.mark.parametrize(
    ("spans", "came"),
    [
        ([], "no block"),
        ([(0, 2)], "0 to 2"),
        ([(2, 4)], "2 to 4"),
        ([(0, 2), (3, 4)], "0 to 2, 3 to 4"),
        ([(0, 2), (1, 4)], "0 to 2, 1 to 4"),
        ([(2, 4), (0, 2)], "2 to 4, 0 to 2"),
        ([(0, 2), (2, 4), (4, 5)], "0 to 2, 2 to 4, 4 to 5"),
        ([(0, 2), (2, 4), (2, 4)], "0 to 2, 2 to 4, 2 to 4"),
    ],
)
def test_blocks_that_are_not_the_columns_of_a_layer_are_refused(spans, came):
    with pytest.raises(reference.ArgumentError, match=f"each once, got {came}$"):
        QuantizedLayer((2, 4), tuple(block(*span) for span in spans)).decode()


def test_a_layer_without_columns_has_no_block():
    assert QuantizedLayer((2, 0), ()).decode().shape == (2, 0)


@pytest.mark.parametrize("value", [65520.0, -7e4, 1e300])
def test_values_beyond_a_stored_type_are_refused_with_their_count(value):
    layer = QuantizedLayer((2, 4), (block(0, 3), block(3, 4, value)))
    with pytest.raises(reference.ArgumentError, match=r"dtype: .* float16, .* small for 2 of 2"):
        layer.with_scales("float16")
    assert (layer.with_scales("float64").decode() == layer.decode()).all()


def test_values_that_a_type_holds_are_only_rounded():
    layer = QuantizedLayer((2, 1), (block(0, 1, 65519.0),))
    assert (layer.with_scales("float16").decode() == 65504.0).all()
