"""The loop over columns computes the numbers of the block loop that defines it."""

from dataclasses import replace

import numpy as np
import pytest

from subbit import reference
from subbit.reference import baselines
from subbit.reference.columns import compensate_columns
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedBlock, ValueGroup

BASELINES = {
    "gptq": (baselines.gptq, reference.METHODS["gptq"].presets),
    "sparsegpt": (baselines.sparsegpt, reference.METHODS["sparsegpt"].presets),
    "pb-llm": (baselines.pb_llm, reference.METHODS["pb-llm"].presets),
}
PRESETS = [(name, preset) for name, (_, presets) in BASELINES.items() for preset in presets]


def block_loop(W, U, quantize_column, *, free=None):
    """The same by `compensate`, with a record of each column."""

    def quantize(current, columns):
        values = quantize_column(current, columns.start)[:, None]
        group = ValueGroup("all", np.ones(values.shape, dtype=bool), values)
        return QuantizedBlock(columns.start, columns.stop, (group,))

    made = reference.compensate(W, U, quantize, block_size=1, mode="exact", free=free)
    return made.layer.decode()


def problem(n, k, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((1, 2 * k, k)) @ (np.eye(k) + 0.2 * rng.standard_normal((k, k)))
    U = reference.inverse_factor(reference.damp(reference.accumulate_hessian(X)))
    return rng.standard_t(4, size=(n, k)), U


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 7), (5, 1), (33, 40)])
def test_both_loops_give_the_same_bits(n, k):
    W, U = problem(n, k)
    for quantize in (
        lambda current, j: np.round(current[:, j]),
        lambda current, j: np.where(np.arange(n) % 2, current[:, j], 0.0),
        # It may look at the columns to the right, as SparseGPT does.
        lambda current, j: np.abs(current[:, j:]).max(axis=1),
    ):
        for free in (None, np.random.default_rng(1).random((n, k)) < 0.5):
            loops = (loop(W, U, quantize, free=free) for loop in (compensate_columns, block_loop))
            assert np.array_equal(*loops)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_baselines_have_the_bits_of_the_block_loop(name, preset, monkeypatch):
    module, presets = BASELINES[name]
    rng = np.random.default_rng(1)
    X = rng.standard_normal((2, 60, 48)) * np.exp(rng.standard_normal(48))
    X[..., 5] = 0.0
    W, H = rng.standard_t(4, size=(9, 48)), reference.accumulate_hessian(X)
    layer = getattr(reference, reference.METHODS[name].entry)
    config = presets[preset].changed(block_size=16)
    if name == "gptq":
        config = replace(config, group_size=12)
    fast = layer(W, H, config).decode()
    monkeypatch.setattr(module, "compensate_columns", block_loop)
    assert np.array_equal(layer(W, H, config).decode(), fast)
    assert not np.array_equal(fast, W)


def test_columns_refuse_what_the_block_loop_refuses():
    W = np.ones((2, 2))
    for U in (np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[1e-200, 0.0], [0.0, 1.0]])):
        for loop in (compensate_columns, block_loop):
            with pytest.raises(ArgumentError, match=r"diagonal without zeros|keeps errors below"):
                loop(W, U, lambda current, j: np.zeros(2) * current[:, j])
