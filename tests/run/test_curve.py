"""Comparisons: each point equals that of a separate run, and finished points are kept."""

import dataclasses
import json

import pytest
from run.helpers import StoppingPort, make_settings

from subbit import reference
from subbit.conformance.command.cli_tables import part_table, prefix_table
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import quantize
from subbit.conformance.runs.curve import Laboratory
from subbit.conformance.runs.evaluate import evaluate
from subbit.conformance.runs.exams import Exam
from subbit.conformance.runs.jobs import Comparison, Job, parse_counts
from subbit.conformance.runs.labels import parse_label
from subbit.conformance.runs.manifest import load_manifest, tokens_digest
from subbit.conformance.runs.plot import plot_study
from subbit.conformance.runs.points import make_point, peak_bytes
from subbit.conformance.runs.quantize import quantize_model
from subbit.conformance.runs.study import (
    RESULTS,
    Notebook,
    Results,
    Study,
    Windows,
    load_results,
    open_results,
)
from subbit.reference.errors import ArgumentError, SubbitError

SHOWN = Comparison(("billm:paper", "rtn:sign"), (1, 3), ("q", "down"), (1, 3))


@pytest.fixture
def study(settings, windows):
    used = Windows("random bytes", *windows.shape, tokens_digest(windows))
    return Study("tiny", "random float32", settings.calibration, used)


@pytest.fixture
def laboratory(study, sequences, windows, tmp_path):
    return make_laboratory(study, sequences, windows, tmp_path / "study")


def make_laboratory(study, sequences, windows, folder):
    exam = Exam(windows, Notebook(folder, open_results(folder, study)))
    runs = folder / "runs"
    return Laboratory(lambda: load_model("tiny"), reference, sequences, study, runs, (exam,))


def notebook_of(laboratory):
    return laboratory.exams[0].notebook


def measure(laboratory, jobs):
    laboratory.measure(jobs)
    return notebook_of(laboratory).results


def test_each_point_is_that_of_a_run_that_stops_there(laboratory, sequences, windows):
    results = measure(laboratory, SHOWN.jobs)
    assert len(results.points) == 2 * 2 + 2 * 2
    for point in results.points:
        model = load_model("tiny")
        parts = None if point.part == "all" else (point.part,)
        span = (point.start, point.stop)
        settings = make_settings(model, sequences, point.label, blocks=span, parts=parts)
        manifest = quantize_model(model, reference, settings, sequences)
        measured = evaluate(model, windows, load_model("tiny"))
        expected = make_point(manifest, point.part, point.stop, measured)
        assert point.key == expected.key
        for name in ("perplexity", "divergence", "mean_error", "nominal", "payload"):
            assert getattr(point, name) == pytest.approx(getattr(expected, name), rel=1e-6), name
    assert results.full == pytest.approx(evaluate(load_model("tiny"), windows).perplexity)


def test_labels_of_one_method_are_told_apart(laboratory):
    labels = tuple(
        str(parse_label(text)) for text in ("wanda@4:8", "wanda@2:4", "wanda@4:8/outlier")
    )
    shown = Comparison(labels, (1, 2), (), (0, 3))
    assert len({job.folder for job in shown.jobs}) == 3
    assert not any(set(job.folder) & set(":/") for job in shown.jobs)
    laboratory.measure(shown.jobs)
    results = load_results(notebook_of(laboratory).folder)
    found = {
        (label, stop): results.find(label, "all", 0, stop) for label in labels for stop in (1, 2)
    }
    assert len({point.perplexity for point in found.values()}) == 6
    table = prefix_table(results, shown)
    assert [row[0] for row in table.rows] == ["full precision", *labels]
    manifests = [
        load_manifest(notebook_of(laboratory).folder / "runs" / job.folder) for job in shown.jobs
    ]
    assert [manifest.kept for manifest in manifests][:2] == [(4, 4, 4), (2, 2, 2)]


def test_runs_of_one_budget_are_planned_once(laboratory, monkeypatch):
    planned, plan_kept = [], quantize.plan_kept

    def spy(*arguments):
        planned.append(arguments[1:3])
        return plan_kept(*arguments)

    monkeypatch.setattr(quantize, "plan_kept", spy)
    labels = ("wanda:wanda@4:8/outlier", "wanda:ria@4:8/outlier", "wanda:wanda@2:4/outlier")
    shown = Comparison(labels, (1,), ("q", "down"), (1, 3))
    steps = []
    laboratory.step = steps.append
    count = laboratory.steps_left(load_model("tiny"), shown.jobs)
    laboratory.measure(shown.jobs)
    assert planned == [("outlier", (4, 8)), ("outlier", (2, 4))]
    assert len(steps) == count
    runs = [notebook_of(laboratory).folder / "runs" / job.folder for job in shown.jobs]
    kept = [load_manifest(run).kept for run in runs]
    alone = plan_kept(load_model("tiny"), "outlier", (4, 8), laboratory.sequences)
    assert [found for found, job in zip(kept, shown.jobs, strict=True) if "4:8" in job.label] == [
        alone
    ] * 6
    assert {len(found) for found in kept} == {3}


def test_a_prefix_of_a_budget_is_that_of_a_longer_run(laboratory, study, tmp_path):
    """Both ends of the curve come from one plan, which does not depend on where a run stops."""
    label = str(parse_label("wanda@4:8/outlier"))
    longer = measure(laboratory, [Job(label, "all", 0, (1, 3))])
    windows = laboratory.exams[0].windows
    other = make_laboratory(study, laboratory.sequences, windows, tmp_path / "other")
    alone = measure(other, [Job(label, "all", 0, (1,))])
    assert alone.points[0].perplexity == longer.points[0].perplexity


def test_artifact_bits_are_those_of_the_files(laboratory):
    point = measure(laboratory, SHOWN.jobs[:1]).points[-1]
    run = notebook_of(laboratory).folder / "runs" / SHOWN.jobs[0].folder
    size = sum(path.stat().st_size for path in run.rglob("*.safetensors"))
    assert point.artifact == pytest.approx(8 * size / (3 * 43008))


def test_finished_points_are_not_measured_again(laboratory, study):
    first = measure(laboratory, SHOWN.jobs)
    laboratory.open_model = lambda: pytest.fail("nothing is missing")
    assert laboratory.steps_left(load_model("tiny"), SHOWN.jobs) == 0
    assert measure(laboratory, SHOWN.jobs) == first
    assert open_results(notebook_of(laboratory).folder, study) == first


def test_a_point_does_not_depend_on_what_the_run_did_after_it(laboratory, study):
    """The run is complete; its first point is measured again from its records."""
    first = measure(laboratory, SHOWN.jobs[:1]).points[0]
    notebook_of(laboratory).results = Results(study)
    again = measure(laboratory, SHOWN.jobs[:1]).points[0]
    assert dataclasses.replace(again, peak_bytes=0) == dataclasses.replace(first, peak_bytes=0)


def test_an_interrupted_comparison_goes_on_where_it_was(laboratory, study):
    port = laboratory.port
    laboratory.port = StoppingPort(14 + 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        laboratory.measure(SHOWN.jobs[:1])
    assert [point.stop for point in load_results(notebook_of(laboratory).folder).points] == [1]
    calls = []

    class Port:
        def billm_layer(self, *arguments):
            calls.append(arguments)
            return port.billm_layer(*arguments)

    folder, windows = notebook_of(laboratory).folder, laboratory.exams[0].windows
    again = make_laboratory(study, laboratory.sequences, windows, folder)
    again.port = Port()
    assert [point.stop for point in measure(again, SHOWN.jobs[:1]).points] == [1, 3]
    assert len(calls) == 7


def test_steps_are_counted_beforehand(laboratory):
    steps = []
    laboratory.step = steps.append
    expected = laboratory.steps_left(load_model("tiny"), SHOWN.jobs)
    laboratory.measure(SHOWN.jobs)
    assert len(steps) == expected


def test_another_study_is_refused_by_the_setting_that_differs(study, tmp_path):
    open_results(tmp_path / "study", study)
    other = dataclasses.replace(study, evaluation=dataclasses.replace(study.evaluation, length=99))
    with pytest.raises(SubbitError, match="evaluation was started with length 20, not 99"):
        open_results(tmp_path / "study", other)


def test_other_content_and_damaged_results_are_refused(study, tmp_path):
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(SubbitError, match="holds something other than a study"):
        open_results(tmp_path, study)
    open_results(tmp_path / "study", study)
    (tmp_path / "study" / RESULTS).write_text('{"study": {}}', encoding="utf-8")
    with pytest.raises(SubbitError, match="no valid results"):
        open_results(tmp_path / "study", study)


@pytest.mark.parametrize("text", ["0", "31", "1,two", "", "1.5"])
def test_prefix_lengths_that_are_none_are_refused(text):
    with pytest.raises(ArgumentError, match="ks: expected"):
        parse_counts(text, 30)


def test_tables_hold_perplexities_bits_and_what_they_depend_on(laboratory):
    results = measure(laboratory, SHOWN.jobs)
    prefix, parts = prefix_table(results, SHOWN), part_table(results, SHOWN)
    assert prefix.columns[1:3] == ("ppl k=1", "ppl k=3")
    assert {"nominal", "payload", "artifact"} <= set(prefix.columns)
    assert [row[0] for row in prefix.rows] == ["full precision", "billm:paper", "rtn:sign"]
    assert {len(row) for row in prefix.rows} == {len(prefix.columns)}
    assert parts.columns == ("part", "billm:paper", "rtn:sign")
    assert [row[0] for row in parts.rows] == ["q", "down"]
    for table in (prefix, parts):
        text = table.to_markdown()
        for words in (
            "random float32",
            "random bytes, 5 samples of 24 tokens, seed 1",
            "random bytes, 3 windows of 20 tokens",
            "nominal",
            "payload",
            "artifact",
        ):
            assert words in text  # fmt: skip


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
@pytest.mark.parametrize("parts", [(), ("q", "down")])
def test_the_plot_is_written(laboratory, tmp_path, ending, magic, parts):
    shown = dataclasses.replace(SHOWN, parts=parts)
    results = measure(laboratory, shown.jobs)
    path = tmp_path / f"plot.{ending}"
    plot_study(results, shown, path)
    assert path.read_bytes().startswith(magic)


def test_results_are_json(laboratory):
    laboratory.measure(SHOWN.jobs[:1])
    content = json.loads((notebook_of(laboratory).folder / RESULTS).read_text(encoding="utf-8"))
    assert content["points"][0]["label"] == "billm:paper"
    assert isinstance(load_results(notebook_of(laboratory).folder), Results)


def test_peak_memory_is_plausible():
    assert 10 * 2**20 < peak_bytes() < 2**40
