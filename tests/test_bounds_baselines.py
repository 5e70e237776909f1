"""PB-LLM's levels and pruning scores, computed in float32, lie within their bounds."""

import numpy as np
import pytest

from subbit.reference import METHODS
from subbit.reference.bounds.baselines.pb_llm import low_levels_bound
from subbit.reference.bounds.baselines.wanda import pruning_scores_bound
from subbit.reference.bounds.rounding import Arithmetic

PORT = Arithmetic("float32")
W = np.random.default_rng(0).standard_normal((40, 60)) * 10.0 ** np.linspace(-3, 3, 60)


def _worst(found, bound):
    return np.max(np.abs(found.astype(np.float64) - bound.value) / bound.error)


@pytest.mark.parametrize("statistics", ["row", "group"])
def test_levels_of_the_low_part(statistics):
    mask = np.random.default_rng(1).random(W.shape) < 0.8
    single = np.where(mask, W, 0.0).astype(np.float32)
    entries = mask if statistics == "group" else np.ones_like(mask)
    count = entries.sum(axis=1).astype(np.float32)
    mean = single.cumsum(axis=1, dtype=np.float32)[:, -1] / count
    distance = np.where(entries, np.abs(single - mean[:, None]), np.float32(0))
    scale = distance.cumsum(axis=1, dtype=np.float32)[:, -1] / count
    for found, bound in zip(
        (mean, scale), low_levels_bound(W, mask, statistics, arithmetic=PORT), strict=True
    ):
        # Within it, and not by orders of magnitude: the worst case has another sign each time.
        assert 1e-3 < _worst(found, bound) <= 1


@pytest.mark.parametrize("preset", METHODS["wanda"].presets)
@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_scores(preset, exponent):
    config = METHODS["wanda"].presets[preset].changed(exponent=exponent)
    H = np.diag(10.0 ** np.linspace(-2, 4, 60) / 3)
    single = np.abs(W).astype(np.float32)
    norms = np.sqrt(np.diag(H).astype(np.float32) / np.float32(2)) ** np.float32(exponent)
    shares = single / single.sum(axis=0) + single / single.sum(axis=1, keepdims=True)
    found = {"wanda": single * norms, "ria": shares * norms, "magnitude": single}[preset]
    assert 1e-3 < _worst(found, pruning_scores_bound(W, H, config, arithmetic=PORT)) <= 1
