"""The table of levels: steps and distortions by numerical integration, and bits of records."""

import itertools

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from subbit.reference.leveled import CODES, SPAN, LevelGroup
from subbit.reference.record_checks import check_group
from subbit.reference.storage.patterns import pattern_bits

PLAIN = [code for code, coding in CODES.items() if coding.planes and not coding.large]
PATTERNED = [code for code, coding in CODES.items() if coding.large]


def _normal(function, low, high):
    """The integral of a function times the density of Gaussian values."""
    return integrate.quad(lambda x: function(x) * stats.norm.pdf(x), low, high)[0]


def _distortion(planes, step):
    """Mean squared error of the nearest of ``±1, ±3, …`` times a step."""
    ends = [*(2.0 * step * np.arange(2 ** (planes - 1))), np.inf]
    return 2.0 * sum(
        _normal(lambda x, middle=(2 * place + 1) * step: (x - middle) ** 2, low, high)
        for place, (low, high) in enumerate(itertools.pairwise(ends))
    )


@pytest.mark.parametrize("code", PLAIN)
def test_step_and_distortion_of_planes(code):
    coding = CODES[code]
    best = optimize.minimize_scalar(
        lambda step: _distortion(coding.planes, step), bounds=(0.05, 1.5), method="bounded"
    )
    assert abs(best.x - coding.step) < 1e-4
    assert abs(best.fun - coding.distortion) < 6e-5


def _largest_mean(count):
    """Mean magnitude of the largest of 16 Gaussian values, all of these together."""
    below = lambda x: 2.0 * stats.norm.cdf(x) - 1.0  # noqa: E731

    def share(x):
        # Of the others fewer than `count` are larger.
        return stats.binom.cdf(count - 1, SPAN - 1, 1.0 - below(x))

    return 2.0 * SPAN * _normal(lambda x: x * share(x), 0.0, np.inf)


@pytest.mark.parametrize("code", PATTERNED)
def test_step_and_distortion_with_large_entries(code):
    """With levels fixed, the step is a quotient of sums: of ``Σ |x| ℓ`` and ``Σ ℓ²``."""
    coding = CODES[code]
    large, everything = _largest_mean(coding.large), SPAN * np.sqrt(2.0 / np.pi)
    product, squares = everything + 2.0 * large, SPAN + 8.0 * coding.large
    step = product / squares
    assert abs(step - coding.step) < 1e-4
    assert abs(1.0 - product**2 / squares / SPAN - coding.distortion) < 6e-5


def test_without_planes_everything_is_lost():
    assert (CODES["0"].step, CODES["0"].distortion) == (0.0, 1.0)


def test_codes_gain_less_per_bit_than_the_one_before():
    """So that the greedy choice of `allocate_codes` skips none."""
    bits = [
        (coding.planes - (coding.large > 0)) + pattern_bits(max(coding.large, 1), SPAN) / SPAN
        * (coding.large > 0)
        for coding in CODES.values()
    ]  # fmt: skip
    distortions = [coding.distortion for coding in CODES.values()]
    assert bits == sorted(bits)
    falls = -np.diff(distortions) / np.diff(bits)
    assert (np.diff(falls) < 0.0).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mask": np.array([[True] * 16 + [False]] * 2)}, "mask: expected all entries"),
        ({"code": "5"}, "code: expected one of 0, 1, 1:16"),
        ({"levels": np.zeros((2, 17), np.int8)}, "odd levels, or zeros with code 0"),
        ({"code": "0"}, "odd levels, or zeros with code 0"),
        ({"code": "1"}, "levels below 2"),
        ({"code": "2:16"}, "2 of each 16 levels at ±3, the others at ±1"),
        ({"levels": np.full((2, 17), 5, np.int8)}, "levels below 4"),
        ({"levels": np.full((2, 17), -128, np.int8)}, "odd levels"),
        ({"levels": np.ones((2, 17))}, "levels: expected an array of shape"),
        ({"levels": np.ones((2, 16), np.int8)}, "levels: expected an array of shape"),
        ({"reference": np.ones(3)}, "reference: expected an array of shape"),
        ({"reference": np.array([1.0, np.inf])}, "reference: expected finite numbers"),
        ({"exponent": np.zeros(2)}, "exponent: expected an array of shape"),
        ({"column_scale": np.ones(16)}, "column_scale: expected an array of shape"),
        ({"column_scale": np.full(17, np.nan)}, "column_scale: expected finite numbers"),
    ],
)
def test_a_group_that_is_not_what_its_code_says_is_refused(fields, said):
    levels = np.ones((2, 17), dtype=np.int8)
    levels[:, 3] = -3
    right = {
        "name": "all",
        "mask": np.ones((2, 17), dtype=bool),
        "code": "1:16",
        "levels": levels,
        "reference": np.ones(2),
    }
    check_group("group", LevelGroup(**right), LevelGroup)
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        check_group("group", LevelGroup(**right | fields), LevelGroup)


def test_large_levels_in_the_last_columns_are_refused():
    """They are in no pattern."""
    levels = np.ones((1, 18), dtype=np.int8)
    levels[0, [2, 17]] = 3
    group = LevelGroup("all", levels != 0, "1:16", levels, np.ones(1))
    with pytest.raises(ValueError, match="1 of each 16 levels at ±3"):
        check_group("group", group, LevelGroup)
