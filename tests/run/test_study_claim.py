"""The study of PBS2P's claim: its numbers, their sources, and its command."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command import cli, cli_study
from subbit.conformance.studies.claims import (
    CLAIMED,
    DENSITIES,
    FAMILIES,
    QUANTILES,
    SETTINGS,
    Case,
    Outcome,
    Setting,
    gains_by_pruning,
    limit_error,
    measure,
    real_cases,
    shares_that_gain,
    synthetic_cases,
)

# To four digits. Of the uniform distribution they are rational: 1 - (3/8)(Σ_{i>8-N} i/9)² / (8N).
LIMITS = {
    "Gaussian": (0.3634, 0.3043, 0.2614, 0.2403, 0.2485, 0.2968, 0.4030),
    "Laplace": (0.5000, 0.4463, 0.3972, 0.3569, 0.3321, 0.3341, 0.3851),
    "uniform": (0.2500, 0.1898, 0.1597, 0.1667, 0.2176, 0.3194, 0.4792),
}


def _one_scale(W, keep):
    """Relative error of one scale for the largest of every 8."""
    kept = reference.nm_mask(np.abs(W), keep, 8)
    alpha = np.abs(W[kept]).mean()
    return np.sum((W - np.where(kept, alpha * np.sign(W), 0.0)) ** 2) / np.sum(W**2)


@pytest.mark.parametrize("family", LIMITS)
def test_limits_of_iid_weights(family):
    found = [limit_error(QUANTILES[family], keep) for keep in DENSITIES]
    assert found == pytest.approx(LIMITS[family], abs=5.1e-5)
    W = FAMILIES[family](np.random.default_rng(0), (2000, 512))
    assert [_one_scale(W, keep) for keep in DENSITIES] == pytest.approx(found, abs=2e-3)


def test_limits_that_are_known_in_closed_form():
    assert limit_error(QUANTILES["Gaussian"], 8) == pytest.approx(1 - 2 / np.pi, abs=1e-9)
    for keep in DENSITIES:
        top = sum(i / 9 for i in range(9 - keep, 9)) / 8
        exact = 1 - 3 * top**2 * 8 / keep
        assert limit_error(QUANTILES["uniform"], keep) == pytest.approx(exact, abs=1e-12)


def test_the_published_table_is_that_of_long_rows():
    shown = {row[0]: row[1:] for row in cli_study.limit_table().rows}
    assert shown["Laplace"] == ("0.500", "0.446", "0.397", "0.357", "0.332", "0.334", "0.385")
    assert shown["uniform"] == ("0.250", "0.190", "0.160", "0.167", "0.218", "0.319", "0.479")
    assert set(shown) == set(QUANTILES)


def test_the_condition_is_exact():
    """B5, against measured errors."""
    rng = np.random.default_rng(3)
    # Magnitudes between two levels and a bell, so that both answers occur.
    W = np.sign(rng.standard_normal((200, 16))) * (1.0 + rng.uniform(0, 2, (200, 1))) ** (
        rng.standard_normal((200, 16))
    )
    kept = reference.nm_mask(np.abs(W), 4, 8)
    errors = []
    for mask in (kept, np.ones_like(kept)):
        alpha = np.sum(np.abs(W) * mask, axis=1, keepdims=True) / mask.sum(axis=1, keepdims=True)
        errors.append(np.sum((W - mask * alpha * np.sign(W)) ** 2, axis=1))
    gains = gains_by_pruning(W, kept)
    assert 0 < gains.sum() < len(W)
    assert np.array_equal(gains, errors[0] < errors[1])


def test_a_tie_is_no_gain_and_no_kept_entry_is_refused():
    kept = np.array([[True, False, False, False]])
    assert not gains_by_pruning(np.array([[3.0, 1.0, 1.0, 1.0]]), kept)[0]
    assert gains_by_pruning(np.array([[3.1, 1.0, 1.0, 1.0]]), kept)[0]
    with pytest.raises(reference.errors.ArgumentError, match="kept"):
        gains_by_pruning(np.ones((1, 4)), np.zeros((1, 4), dtype=bool))


def test_where_the_claim_holds():
    cases = {case.name: case for case in synthetic_cases(16)}
    by_magnitude = {name: measure(c, Setting("magnitude"), "L1") for name, c in cases.items()}
    holding = {name for name, outcome in by_magnitude.items() if outcome.holds}
    assert holding == set(FAMILIES) - {"near-binary", "binary"}
    assert by_magnitude["binary"].errors[0] < 1e-12
    assert by_magnitude["binary"].ratio(4) == np.inf
    assert by_magnitude["near-binary"].ratio(6) > 10
    assert shares_that_gain(cases["Laplace"]) == (1.0, 1.0, 1.0)
    assert shares_that_gain(cases["near-binary"]) == (0.0, 0.0, 0.0)
    # A block that has four groups already has no use for one more level.
    grouped = measure(cases["Gaussian"], Setting(grouped=True), "L2")
    assert grouped.ratio(4) > 1.2 > by_magnitude["Gaussian"].ratio(4)


def test_outcomes():
    outcome = Outcome("x", "y", "L1", (0.5, 0.4, 0.4, 0.45, 0.6, 0.7, 0.8))
    assert [outcome.ratio(keep) for keep in CLAIMED] == [0.8, 0.9, 1.2]
    assert not outcome.holds
    assert Outcome("x", "y", "L1", (0.5,) * 4 + (0.4,) * 3).holds is False
    assert Outcome("x", "y", "L1", (0.5, *(0.4,) * 6)).holds is True


def test_settings_are_all_combinations_and_change_the_configuration():
    assert len({setting.config(4) for setting in SETTINGS}) == len(SETTINGS) == 20
    grouped = Setting(grouped=True)
    assert grouped.config(6).pruning.keep == (6, 8)
    assert grouped.config(6).partitioned
    assert not Setting().config(6).partitioned


def test_calibrated_errors_are_fitted_to_the_inputs(tiny, sequences):
    case, *others = real_cases(tiny, sequences, 8, kinds=("o", "down"))
    assert [x.name for x in (case, *others)] == ["0.o", "0.down"]
    assert case.W.shape[0] == 8
    assert case.W.shape[1] % 8 == 0
    assert len(others[0].H) == 128
    everything = np.ones((0, *case.W.shape), dtype=bool)
    for objective, S in (("L1", np.eye(case.W.shape[1])), ("L2", case.H / 2.0)):
        group = reference.spbo(case.W, None, everything, S, config=Setting().config(8).pruning)
        alone = reference.relative_error(case.W, group.decode(), S)
        assert measure(case, Setting(), objective).errors[0] == pytest.approx(alone, rel=1e-9)
    identity = Case("white", case.W, np.eye(case.W.shape[1]))
    white = [measure(identity, Setting(), objective) for objective in ("L1", "L2")]
    assert white[0].errors == pytest.approx(white[1].errors, rel=1e-9)


def _run(*options):
    app = cli.make_app("study")
    return CliRunner().invoke(app, ["study", "pbs2p-claim", *map(str, options)])


def test_the_command(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 40, encoding="utf-8")
    numbers, plot = tmp_path / "claim.json", tmp_path / "claim.svg"
    options = ["--quick", "--rows=4", "--samples=2", "--length=32", f"--calibration={text}"]
    made = _run(*options, "--model=tiny", f"--json={numbers}", f"--plot={plot}")
    assert made.exit_code == 0, made.output
    outcomes = json.loads(numbers.read_text())
    assert {x["case"] for x in outcomes} == {*FAMILIES, "0.q", "0.o", "0.down"}
    assert len(outcomes) == 11 * 2 * len(cli_study.QUICK)
    assert all(len(x["errors"]) == len(DENSITIES) for x in outcomes)
    assert "condition" in made.stdout
    assert made.stdout.count("rises rises rises") == 6
    assert plot.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--plot=x.gif"], "plot: expected"),
        (["--model=no/such.gguf"], "model: expected"),
        (["--model=tiny", "--length=9999"], "length: expected"),
    ],
)
def test_the_command_refuses(options, complaint):
    refused = _run(*options, "--quick", "--rows=1")
    assert refused.exit_code == 2
    assert complaint in refused.stderr
    assert refused.stdout == ""
