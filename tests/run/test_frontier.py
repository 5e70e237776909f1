"""The frontier: whole models on several texts, with several calibrations."""

import json

import numpy as np
import pytest
from run.helpers import make_settings
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command import cli, cli_frontier
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import exams
from subbit.conformance.runs.exams import OutputErrors, load_errors
from subbit.conformance.runs.frontier import FRONTIER, held_out, read_frontier
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.reference.errors import SubbitError

SMALL = ["--samples=2", "--length=24", "--window=32", "--windows=3", "--workers=1"]
METHODS = ["--method=rtn:sign", "--method=typed:3bit+loaq", "--ks=1,all"]


def words(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, size=200)
    return " ".join("".join(map(chr, rng.integers(97, 123, size=k))) for k in lengths)


@pytest.fixture
def place(tmp_path, monkeypatch):
    for seed, name in enumerate(("one", "two", "three")):
        (tmp_path / f"{name}.txt").write_text(words(seed), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, *options):
    return CliRunner().invoke(cli.make_app(command), [command, "tiny", *options])


def frontier(*options):
    texts = ["--calibration=one.txt", "--calibration=two.txt", "--text=three.txt", "--text=one.txt"]
    return run("frontier", "--out=out", *texts, *METHODS, *SMALL, *options)


def test_each_point_is_that_of_a_comparison(place):
    result = frontier("--plot=chart.svg")
    assert result.exit_code == 0, result.output
    found = read_frontier(place / "out" / FRONTIER)
    assert [len(one.studies) for one in found] == [2, 2]
    for name, one in zip(("one.txt", "two.txt"), found, strict=True):
        for text, study in zip(("three.txt", "one.txt"), one.studies, strict=True):
            options = [f"--calibration={name}", f"--text={text}", "--no-parts", *METHODS, *SMALL]
            again = run("curve", f"--out={name}-{text}", *options)
            assert again.exit_code == 0, again.output
            content = json.loads((place / f"{name}-{text}" / "results.json").read_text())
            assert content["full"] == study.full
            for point in content["points"]:
                own = one.prefix if point["stop"] == 1 else study
                same = own.find(point["label"], "all", 0, point["stop"])
                if text == "three.txt" or point["stop"] == 3:
                    assert same.perplexity == point["perplexity"]
                    assert same.payload == point["payload"]
        assert one.labels() == ["rtn:sign", "typed:3bit+loaq"]
        assert set(one.errors) == set(one.labels())
    assert "rtn:sign" in (place / "chart.svg").read_text(encoding="utf-8")
    assert (place / "out" / "tables.md").read_text(encoding="utf-8").count("| rtn:sign |") == 2


@pytest.mark.usefixtures("place")
def test_a_second_call_measures_nothing(place, monkeypatch):
    assert frontier().exit_code == 0
    before = (place / "out" / FRONTIER).read_bytes()
    monkeypatch.setattr(cli_frontier, "load_model", lambda _: pytest.fail("nothing is missing"))
    assert frontier().exit_code == 0
    assert (place / "out" / FRONTIER).read_bytes() == before


@pytest.mark.usefixtures("place")
def test_an_interrupted_call_goes_on(place, monkeypatch):
    assert frontier().exit_code == 0
    whole = [one.errors for one in read_frontier(place / "out" / FRONTIER)]
    (place / "out").rename(place / "first")
    seen, follow = [], OutputErrors.follow

    def interrupted(self, index):
        seen.append(index)
        if len(seen) == 9:
            raise KeyboardInterrupt
        follow(self, index)

    monkeypatch.setattr(exams.OutputErrors, "follow", interrupted)
    assert frontier().exit_code == 130
    assert len(load_errors(place / "out" / "one.txt" / "errors.json")) == 1
    assert frontier().exit_code == 0
    assert [one.errors for one in read_frontier(place / "out" / FRONTIER)] == whole


def stops_of(place):
    errors = load_errors(place / "out" / "one.txt" / "errors.json")
    return {label: {one.stop for one in found.values()} for label, found in errors.items()}


@pytest.mark.usefixtures("place")
def test_errors_are_of_as_many_blocks_as_the_model_beside_them(place):
    """A longer run measures them again, and a shorter one does not take them away."""
    shown = frontier("--ks=1", "--method=billm").stdout
    assert set(stops_of(place)) == {"rtn:sign", "typed:3bit+loaq", "billm:paper"}
    assert all(stops == {1} for stops in stops_of(place).values())
    for last in ("--ks=all", "--ks=1"):
        shown = frontier(last).stdout
        assert stops_of(place)["rtn:sign"] == {3}
    one = read_frontier(place / "out" / FRONTIER)[0]
    assert set(one.errors_of(one.point(0, "rtn:sign"))) == {"calibration", "held out"}
    assert one.errors_of(one.prefix.find("rtn:sign", "all", 0, 1)) == {}
    assert "rtn:sign" in shown


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--text=deep/one.txt", "text: expected texts of different names"),
        ("--calibration=prefix", "calibration: expected texts of different names"),
        ("--method=x", "method: expected one of"),
        ("--plot=x.txt", "plot: expected a file name that ends in"),
        ("--ks=4", "ks: expected a whole number from 1 to 3"),
    ],
)
def test_a_refused_frontier_leaves_no_folder(place, option, said):
    result = frontier(option)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (place / "out").exists()


def test_errors_are_those_of_outputs(sequences):
    full, made = load_model("tiny"), load_model("tiny")
    watch = OutputErrors(full, made, sequences)
    settings = make_settings(made, sequences, "rtn:2bit", blocks=(0, 1))
    hooks = Hooks(block=lambda index, _: watch.follow(index))
    quantize_model(made, reference, settings, sequences, hooks=hooks)
    hidden, ratios = full.embed(sequences), []
    inputs = [{}, {}]
    outputs = [
        model.run_block(0, hidden, lambda name, X, own=own: own.update({name: X.copy()}))
        for model, own in zip((full, made), inputs, strict=True)
    ]
    for linear in full.linears(0):
        was, now = (
            own[linear.input_name] @ model.weight(0, linear.name).T
            for model, own in zip((full, made), inputs, strict=True)
        )
        ratios.append(np.sum((was - now) ** 2) / np.sum(was**2))
    error = watch.read()
    assert error.layers == pytest.approx(np.mean(ratios), rel=1e-4)
    assert error.stream == pytest.approx(
        np.sum((outputs[0] - outputs[1]) ** 2) / np.sum(outputs[0] ** 2), rel=1e-4
    )
    assert error.linears == len(ratios)


def test_a_model_has_no_error_against_itself(sequences):
    watch = OutputErrors(load_model("tiny"), load_model("tiny"), sequences)
    watch.follow(0)
    assert (watch.read().layers, watch.read().stream) == (0.0, 0.0)


def test_a_massive_token_does_not_count(sequences):
    watch = OutputErrors(load_model("tiny"), load_model("tiny"), sequences)
    watch.hidden[0, 0] *= 1e6
    watch.ratios = [1.0]
    assert watch.read().stream == 0.0


def test_sequences_held_out_share_no_run():
    used = np.arange(100)[None]
    drawn = np.stack([np.arange(s, s + 20) for s in (90, 92, 200, 213, 212)])
    assert held_out(used, drawn, 8)[:, 0].tolist() == [200, 213]
    assert held_out(used, drawn[:1], 8).shape == (0, 20)


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', '[{"studies": [], "prefix": {}}]'])
def test_a_damaged_frontier_is_refused(tmp_path, text):
    (tmp_path / FRONTIER).write_text(text, encoding="utf-8")
    with pytest.raises(SubbitError, match="no valid frontier"):
        read_frontier(tmp_path / FRONTIER)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"b": {"c": 1}}}'])
def test_damaged_errors_are_refused(tmp_path, text):
    (tmp_path / "errors.json").write_text(text, encoding="utf-8")
    with pytest.raises(SubbitError, match="no valid errors"):
        load_errors(tmp_path / "errors.json")
