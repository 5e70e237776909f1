"""Sequences and windows that begin with the model's first token, and what tables say of it."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from subbit.conformance.command.cli import make_app
from subbit.conformance.command.cli_run import CalibrationOptions, cut_windows, draw_calibration
from subbit.conformance.command.cli_tables import study_notes
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.manifest import load_manifest
from subbit.conformance.runs.study import Results, load_results
from subbit.reference.errors import ArgumentError

FIRST = 7


@pytest.fixture
def folder(tmp_path):
    """The tiny model, whose source names a first token."""
    load_model("tiny").save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text()) | {"bos_token_id": FIRST}
    path.write_text(json.dumps(config), encoding="utf-8")
    return tmp_path / "model"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog; " * 40, encoding="utf-8")
    return str(path)


def run(*words):
    result = CliRunner().invoke(make_app(words[0]), [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("engine", ["numpy", "transformers"])
def test_models_say_which_token_begins_a_text(folder, engine):
    if engine == "transformers":
        pytest.importorskip("transformers")
    assert load_model(f"{engine}:{folder}").first_token == FIRST
    assert load_model("tiny").first_token is None


def test_windows_begin_with_it_and_go_on_with_the_text(folder, text):
    model = load_model(str(folder))
    plain, _ = cut_windows(model, text, 19, 3)
    windows, described = cut_windows(model, text, 20, 3, bos=True)
    assert windows.shape == (3, 20)
    assert (windows[:, 0] == FIRST).all()
    assert (windows[:, 1:] == plain).all()
    assert (described.length, described.first_token) == (20, FIRST)


def test_a_first_token_that_the_tokenizer_puts_there_is_not_put_twice(folder, text, monkeypatch):
    model = load_model(str(folder))
    windows, _ = cut_windows(model, text, 20, 3, bos=True)
    plain = model.tokenize
    monkeypatch.setattr(model, "tokenize", lambda text: np.append([FIRST], plain(text)))
    assert (cut_windows(model, text, 20, 3, bos=True)[0] == windows).all()


def test_calibration_sequences_begin_with_it(folder, text):
    model = load_model(str(folder))
    options = CalibrationOptions(text, samples=4, length=20, seed=3)
    with_it = dataclasses.replace(options, bos=True)
    shorter, _ = draw_calibration(model, dataclasses.replace(options, length=19))
    sequences, described = draw_calibration(model, with_it)
    assert (sequences[:, 0] == FIRST).all()
    assert (sequences[:, 1:] == shorter).all()
    assert described.first_token == FIRST


def test_a_model_without_one_is_refused(text):
    with pytest.raises(ArgumentError, match="--bos: expected a model that names a first token"):
        cut_windows(load_model("tiny"), text, 20, 3, bos=True)


def test_every_table_says_so(folder, text, tmp_path):
    out, few = tmp_path / "out", ["--samples=2", "--length=24", f"--calibration={text}"]
    said = f"each with the first token {FIRST}"
    made = run("quantize", folder, "--method=rtn", f"--out={out}", "--bos", *few)
    assert f"2 samples of 24 tokens, seed 0, {said}" in made
    assert load_manifest(out).settings.calibration.first_token == FIRST
    scored = run("evaluate", folder, f"--text={text}", "--length=24", "--windows=2", "--bos")
    assert f"2 windows of 24 tokens, {said}" in scored
    assert said not in run("evaluate", folder, f"--text={text}", "--length=24", "--windows=2")
    study = tmp_path / "study"
    ks = ["--ks=1", "--no-parts", "--window=24", "--windows=2", f"--text={text}"]
    compared = run("curve", folder, "--method=rtn:sign", f"--out={study}", "--bos", *ks, *few)
    assert compared.count(said) == 2
    assert load_results(study).study.evaluation.first_token == FIRST


def test_scales_that_lose_digits_are_told_of_comparisons(folder, text, tmp_path):
    study = tmp_path / "study"
    words = ["--ks=1", "--no-parts", "--window=24", "--windows=2", f"--text={text}"]
    words += ["--samples=2", "--length=24", f"--calibration={text}"]
    assert "underflow" not in run("curve", folder, "--method=rtn:sign", f"--out={study}", *words)
    results = load_results(study)
    points = tuple(dataclasses.replace(point, underflows=12345) for point in results.points)
    notes = study_notes(Results(results.study, results.full, points))
    assert notes[-1] == "underflow: scales that lose digits in float16: rtn:sign 12,345"
