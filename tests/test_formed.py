"""A record whose fields are not what they say is no correct answer, whatever it decodes to."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.reference.bounds.rounding import Arithmetic


def with_plane(group, **changes):
    return replace(group, planes=(replace(group.planes[0], **changes), *group.planes[1:]))


WRONG = {
    "name: expected text": lambda g: replace(g, name=7),
    "mask: expected flags": lambda g: replace(g, mask=g.mask.astype(np.float64)),
    "sign: expected whole numbers": lambda g: with_plane(g, sign=g.planes[0].sign * 1.0),
    "row_scale: expected numbers of shape (": lambda g: with_plane(
        g, row_scale=g.planes[0].row_scale[:, None]
    ),
    "mean: expected numbers of shape (": lambda g: replace(g, mean=g.mean[:, None]),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_field_of_another_kind_is_wrong(said):
    def arb_start(*places, **names):
        return WRONG[said](reference.arb_start(*places, **names))

    port = SimpleNamespace(**{n: getattr(reference, n) for n in reference.__all__})
    port.arb_start = arb_start
    outcome = OPERATIONS["arb_start"].check(port, Arithmetic(), 3)
    assert outcome.status == "failed"
    assert said in outcome.message


def test_a_name_of_another_group_is_wrong():
    def rtn_layer(*places, **names):
        layer = reference.rtn_layer(*places, **names)
        blocks = tuple(
            replace(b, groups=tuple(replace(g, name="every") for g in b.groups))
            for b in layer.blocks
        )
        return replace(layer, blocks=blocks)

    port = SimpleNamespace(**{n: getattr(reference, n) for n in reference.__all__})
    port.rtn_layer = rtn_layer
    outcome = OPERATIONS["rtn_layer"].check(port, Arithmetic(), 3)
    assert "names of the groups" in outcome.message
