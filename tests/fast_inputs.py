"""Small inputs, smooth and difficult, for the tests of the fast path."""

import numpy as np

U = 2.0**-24
"""Unit roundoff of float32."""


def smooth(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _spread(shape):
    return smooth(shape, 1) * 10.0 ** np.linspace(-8, 8, shape[1])


def _rows_far_apart(shape):
    return smooth(shape, 2) * 10.0 ** np.linspace(-30, 30, shape[0])[:, None]


def _tied(shape):
    return np.random.default_rng(3).choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], shape)


def _shifted(shape):
    return smooth(shape, 4) + 100 * smooth((shape[0], 1), 5)


def _dead(shape):
    values = smooth(shape, 6)
    values[:, ::3] = 0
    values[::2] = 0
    return values


NASTY = {
    "smooth": smooth,
    "spread": _spread,
    "rows far apart": _rows_far_apart,
    "tied": _tied,
    "shifted": _shifted,
    "dead": _dead,
    "zeros": np.zeros,
}


def mask(shape, seed=0):
    """Random entries; the last row of several has none."""
    entries = np.random.default_rng(seed).random(shape) < 0.6
    if shape[0] > 1:
        entries[-1] = False
    return entries


def hessian(m, seed=0, dead=()):
    X = smooth((3 * m, m), seed) @ (np.eye(m) + 0.3 * smooth((m, m), seed + 1) / np.sqrt(m))
    X[:, list(dead)] = 0.0
    return X.T @ X


def single(W):
    """Numbers that float32 holds."""
    return np.asarray(W).astype(np.float32).astype(np.float64)


def last(steps):
    """The state after the last half step."""
    *_, (_, group) = steps
    return group


def assert_same_bits(ours, theirs):
    """Compare two groups bit by bit."""
    assert (ours.name, len(ours.planes)) == (theirs.name, len(theirs.planes))
    assert np.array_equal(ours.mask, theirs.mask)
    assert np.array_equal(ours.mean, theirs.mean)
    for plane, other in zip(ours.planes, theirs.planes, strict=True):
        assert np.array_equal(plane.sign, other.sign)
        assert np.array_equal(plane.row_scale, other.row_scale)
        assert np.array_equal(plane.column_scale, other.column_scale)


def bytes_of(device, entry):
    """Bytes that a kernel loads and stores in whole sectors, and whether none are wasted."""
    total = {"load": 0, "store": 0}
    for site, traffic in device.counters[entry].lines.items():
        if site.space == "global":
            total[site.direction] += 32 * traffic.sectors
    whole = device.counters[entry].total("global")
    return total["load"], total["store"], whole.sectors == whole.ideal_sectors
