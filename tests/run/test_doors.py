"""A refusal leaves nothing behind, and what can be refused is refused before the work."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from subbit.conformance.command import cli, cli_run
from subbit.conformance.command.cli_run import cut_windows, tokens_of
from subbit.conformance.command.console import make_console, refusals
from subbit.conformance.command.crews import CrewOptions, open_crew
from subbit.conformance.command.outputs import check_plot, check_writable, made_for
from subbit.conformance.models.claim import claim
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.evaluate import evaluation_windows
from subbit.conformance.runs.jobs import parse_counts
from subbit.conformance.runs.plan import parse_blocks, recorded, whole_number
from subbit.reference.errors import ArgumentError, SubbitError

FIXED = ("--calibration=text.txt", "--samples=2", "--length=16")
STUDY = (*FIXED, "--text=text.txt", "--window=16", "--windows=2", "--no-parts")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a text, a model and two whose scales overflow, early and late."""
    (tmp_path / "text.txt").write_text("to be or not to be; " * 40, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def enlarged(block):
    model = load_model("tiny")
    model.set_weight(block, "mlp.up_proj", model.weight(block, "mlp.up_proj") * 1e6)
    model.save(f"large{block}")
    return f"large{block}"


def run(command, *options):
    return CliRunner().invoke(cli.make_app(command), [command, *map(str, options)])


def refused(command, *options):
    """The sentence of a refusal that changes nothing in the working folder."""
    before = sorted(map(str, Path().rglob("*")))
    result = run(command, *options)
    assert result.exit_code == 2, result.output
    assert sorted(map(str, Path().rglob("*"))) == before
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--blocks=3:4",), "blocks: expected START:STOP"),
        (("--scales=x",), "scales: expected one of"),
        (("--plot=no/x.png",), "plot: expected a file in a folder that can be written"),
        (("--plot=x.txt",), "plot: expected a file name that ends in"),
        (("--ks=4",), "ks: expected a whole number from 1 to 3"),
        (("--parts=x",), "parts: expected one of"),
        (("--samples=99999999999999999999",), "samples: expected what fits into"),
    ],
)
@pytest.mark.usefixtures("place")
def test_a_refused_comparison_leaves_no_folder(options, said):
    fixed = [x for x in STUDY if x != "--no-parts"]
    message = refused("curve", "tiny", "--method=rtn", "--out=new/deep", *fixed, *options)
    assert said in message


@pytest.mark.parametrize("command", ["quantize", "curve"])
@pytest.mark.usefixtures("place")
def test_scales_that_overflow_leave_no_folder_and_the_named_retry_works(command):
    options = [
        enlarged(0),
        "--method=rtn",
        "--out=new/deep",
        *(FIXED if command == "quantize" else STUDY),
    ]
    options += ["--blocks=0:1", "--no-checkpoint"] if command == "quantize" else ["--ks=1"]
    assert "(try --scales float32)" in refused(command, *options)
    assert run(command, *options, "--scales=float32").exit_code == 0


@pytest.mark.usefixtures("place")
def test_finished_blocks_stay_and_are_told():
    options = [enlarged(1), "--method=rtn", "--out=new", *FIXED, "--no-checkpoint"]
    result = run("quantize", *options)
    assert result.exit_code == 2
    told = "what is finished stays in new, other settings need another folder"
    assert result.stderr.splitlines()[-1].endswith(told)
    assert [path.name for path in Path("new/layers").iterdir()] == ["block-000.safetensors"]
    assert "other settings" not in run("quantize", *options, "--resume").stderr


def ended(folder, error, *files):
    """Make files in a folder, and end with an error."""
    with made_for(folder):
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        raise error


def left_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("error", [SubbitError("x"), OSError(28, "No space"), MemoryError()])
def test_a_folder_without_results_is_removed_with_its_parents(tmp_path, error):
    with pytest.raises(type(error)):
        ended(tmp_path / "a" / "b", error, "manifest.json", "layers/.partial-block-000.safetensors")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "file", ["layers/block-000.safetensors", "runs/x/layers/block-003.safetensors"]
)
def test_a_result_stays(tmp_path, file):
    with pytest.raises(SubbitError, match=r"^x; what is finished stays in .*/a, other settings"):
        ended(tmp_path / "a", SubbitError("x"), file)
    assert f"a/{file}" in left_in(tmp_path)
    with pytest.raises(OSError, match=r"^.Errno 28. No space$"):
        ended(tmp_path / "b", OSError(28, "No space"), file)
    assert f"b/{file}" in left_in(tmp_path)


def test_an_empty_folder_is_emptied_and_a_full_one_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for folder in tmp_path.iterdir():
        with pytest.raises(SubbitError):
            ended(folder, SubbitError("x"), "new")
    assert left_in(tmp_path) == ["empty", "full", "full/mine", "full/new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault of ours")])
def test_what_is_no_refusal_keeps_the_folder(tmp_path, error):
    with pytest.raises(type(error)):
        ended(tmp_path / "a", error, "b")
    assert left_in(tmp_path) == ["a", "a/b"]


def test_a_folder_that_another_process_has_taken_is_its_own(tmp_path):
    (tmp_path / "a").mkdir()
    with claim(tmp_path / "a"), pytest.raises(SubbitError, match=r"^x$"):
        ended(tmp_path / "a", SubbitError("x"), "theirs")
    assert left_in(tmp_path) == ["a", "a/theirs"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("no/x.json", "a file in a folder that can be written"),
        ("file/x.json", "a file in a folder that can be written"),
        ("folder", "a file, got folder, which is a folder"),
        ("/dev/null", "a file that can be written"),
        ("x" * 241, "a name of at most 240 bytes"),
        ("é" * 121, "a name of at most 240 bytes"),
    ],
)
def test_files_that_cannot_be_written_are_refused(place, file, said):
    (place / "file").touch()
    (place / "folder").mkdir()
    with pytest.raises(ArgumentError, match=f"--json: expected {said}"):
        check_writable({"--json": Path(file)})
    check_writable({"--json": Path("x" * 240), "--html": None, "--junit": Path("file")})


def test_a_file_that_is_read_only_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ArgumentError, match="--json: expected a file that can be written"):
        check_writable({"--json": tmp_path / "x"})


def test_a_plot_may_stand_beside_what_the_command_makes(tmp_path):
    plot, out = tmp_path / "runs" / "a.svg", tmp_path / "runs" / "a"
    check_plot(plot, made=out)
    assert not any(tmp_path.iterdir())
    for made in (None, tmp_path / "others" / "a"):
        with pytest.raises(ArgumentError, match="plot: expected a file in a folder that can be"):
            check_plot(plot, made=made)


def test_a_plot_has_a_known_ending(tmp_path):
    check_plot(None)
    check_plot(tmp_path / "a.svg")
    with pytest.raises(ArgumentError, match=r"plot: expected a file name that ends in \.png"):
        check_plot(tmp_path / "a.gif")


COMMANDS = [
    ("bench", "simulator"), ("bench", "kernels"), ("bench", "reference"), ("bench", "model"),
    ("study", "pbs2p-claim"), ("kernels",), ("check", "reference"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("place")
def test_numbers_go_to_a_file_that_is_tried_first(command):
    result = CliRunner().invoke(cli.make_app(command[0]), [*command, "--json=no/x.json"])
    assert result.exit_code == 2
    assert "--json: expected a file in a folder that can be written, got no/x.json" in result.stderr


@pytest.mark.parametrize("option", ["--rows=0", "--columns=0", "--block-size=0", "--rows=2000000"])
@pytest.mark.usefixtures("place")
def test_the_benchmark_takes_sizes_in_a_range(option):
    result = CliRunner().invoke(cli.make_app("bench"), ["bench", "reference", option])
    assert result.exit_code == 2
    assert option.partition("=")[0] in result.stderr


@pytest.mark.usefixtures("place")
def test_the_benchmark_is_held_to_the_memory():
    line = ["bench", "reference", "--rows=1000000", "--columns=1000000"]
    result = CliRunner().invoke(cli.make_app("bench"), line)
    assert result.exit_code == 2
    assert "--rows: expected what fits into" in result.stderr


@pytest.mark.usefixtures("place")
def test_prefix_lengths_by_default_are_those_that_the_model_has():
    assert parse_counts(None, 1) == (1,)
    assert parse_counts(None, 8) == (1, 2, 4, 8)
    assert parse_counts(None, 30) == (1, 2, 4, 8, 30)
    result = run("curve", "tiny", "--method=rtn", "--out=new", *STUDY)
    assert result.exit_code == 0, result.output
    points = json.loads(Path("new/results.json").read_text(encoding="utf-8"))["points"]
    assert [point["stop"] for point in points] == [1, 2, 3]


@pytest.mark.parametrize("word", ["²", "٣", "-1", "1.0", "", "9" * 19, "9" * 5000])
def test_numbers_are_written_in_few_plain_digits(word):
    assert whole_number(word) is None
    with pytest.raises(ArgumentError, match="ks: "):
        parse_counts(f"1,{word}", 3)
    if word:
        with pytest.raises(ArgumentError, match="blocks: expected START:STOP"):
            parse_blocks(f"{word}:", 3)


def test_a_name_that_is_not_in_utf_8_is_shown_and_not_recorded(place, capsys):
    name = os.fsdecode(b"m\xe9")
    assert run("quantize", "tiny", "--method=rtn", f"--out={name}", *FIXED).exit_code == 0
    assert run("bits", name).exit_code == 0
    message = refused("quantize", name, "--method=rtn", "--out=new", *FIXED)
    assert message == r"subbit: model: expected a name in UTF-8, got '" + f"{place}/m" + r"\udce9'"
    with pytest.raises(ArgumentError, match="text: expected a name in UTF-8"):
        cut_windows(load_model("tiny"), name, 16, 2)
    assert recorded("text", "café") == "café"
    make_console().print(name)
    assert r"m\udce9" in capsys.readouterr().out


def test_a_refusal_is_a_sentence_of_some_length(capsys):
    with pytest.raises(Exception), refusals():  # noqa: B017, PT011 - typer's own
        raise SubbitError("x" * 10_000)
    assert len(capsys.readouterr().err) < 2100


@pytest.mark.parametrize("characters", [1, 16])
def test_windows_are_those_of_the_whole_text(place, monkeypatch, characters):
    text = "the quick brown fox, 1234 jumps;\n\n over " * 15000
    (place / "long.txt").write_text(text, encoding="utf-8")
    model, lengths = load_model("smollm2-135m"), []
    monkeypatch.setattr(cli_run, "CHARACTERS", characters)
    load = cli_run.load_text
    monkeypatch.setattr(
        cli_run, "load_text", lambda *x: lengths.append(len(found := load(*x))) or found
    )
    whole = evaluation_windows(model.tokenize(text), length=64, windows=400)
    cut, _ = cut_windows(model, "long.txt", 64, 400)
    assert np.array_equal(cut, whole)
    # Where too few tokens were in the first part, twice as much is read.
    assert lengths == {16: [475_136], 1: [91_136, 182_272]}[characters]
    with pytest.raises(ArgumentError, match="evaluation text: expected at least"):
        cut_windows(model, "text.txt", 64, 200)
    assert len(tokens_of(model, "text.txt")) == len(model.tokenize("to be or not to be; " * 40))


@pytest.mark.parametrize("address", ["", "  "])
def test_a_scheduler_has_an_address(address):
    with pytest.raises(ArgumentError, match=r"--scheduler: .* got nothing"):
        open_crew("reference", CrewOptions(scheduler=address))
