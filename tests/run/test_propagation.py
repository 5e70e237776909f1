"""Error propagation in a run: what it gathers, in which order, and that nothing else changes."""

import dataclasses
import json
import re

import numpy as np
import pytest
from run.helpers import StoppingPort, all_weights, files_of, make_settings, without_times
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command import cli
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.calibrate import advance, embed
from subbit.conformance.runs.correction import parse_correction
from subbit.conformance.runs.held import verify
from subbit.conformance.runs.labels import Label, parse_label
from subbit.conformance.runs.manifest import MANIFEST, load_manifest, record_path
from subbit.conformance.runs.plan import count_steps
from subbit.conformance.runs.processes import Processes
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.conformance.runs.records import load_records
from subbit.conformance.runs.streams import Streams, run_up_to, stages
from subbit.reference.errors import ArgumentError, SubbitError

LABEL = "billm:paper+loaq:alpha=0.7:beta=0.4:ridge=0.05"
WRITERS = ["self_attn.o_proj", "mlp.down_proj"]


class Seen:
    """The reference, which keeps what it was asked to correct."""

    def __init__(self) -> None:
        self.calls = []

    def propagated_weights(self, *arguments, **named):
        self.calls.append((*arguments, named["residual"]))
        return reference.propagated_weights(*arguments, **named)

    def billm_layer(self, *arguments):
        return reference.billm_layer(*arguments)


def inputs_of(model, index, hidden):
    """Every input of a block, in float64."""
    found = {}
    model.run_block(index, hidden, lambda name, X: found.update({name: X.astype(np.float64)}))
    return found


def gram(D, Y):
    flat = D.reshape(-1, D.shape[-1]), Y.reshape(-1, Y.shape[-1])
    return 2 / len(Y) * flat[0].T @ flat[1]


def by_hand(sequences, made):
    """H, C and R of each linear, from two models; `made` are the weights of the finished run."""
    full, now = load_model("tiny"), load_model("tiny")
    h = embed(full, sequences)
    g = h.copy()
    for index in range(full.n_blocks):
        linears = {x.name: x for x in full.linears(index)}
        stream = h.astype(np.float64) - g
        for stage in stages(full.linears(index)):
            X, Y = (inputs_of(m, index, s) for m, s in ((full, h), (now, g)))
            for linear in stage:
                x, y = X[linear.input_name], Y[linear.input_name]
                own = stream
                if linear.name == "mlp.down_proj":
                    o = linears["self_attn.o_proj"]
                    weights = [m.weight(index, o.name).T for m in (full, now)]
                    own = stream + X[o.input_name] @ weights[0] - Y[o.input_name] @ weights[1]
                R = gram(own, y) if linear.name in WRITERS else None
                yield full.weight(index, linear.name), gram(y, y), gram(x - y, y), R
            for linear in stage:
                now.set_weight(index, linear.name, made[index, linear.name])
        advance(full, index, h)
        advance(now, index, g)


def test_each_linear_sees_what_is_quantized_already_and_the_model_at_full_precision(
    tiny, sequences, monkeypatch
):
    """The order is q, k, v, then o, then gate and up, then down; one sequence goes at a time."""
    monkeypatch.setattr("subbit.conformance.runs.calibrate.BATCH_TOKENS", 24)
    port, settings = Seen(), make_settings(tiny, sequences, LABEL)
    manifest = quantize_model(tiny, port, settings, sequences)
    assert len(port.calls) == len(manifest.layers) == 21
    expected = list(by_hand(sequences, all_weights(tiny)))
    for (W, H, C, config, R), (W0, H0, C0, R0) in zip(port.calls, expected, strict=True):
        assert np.array_equal(W, W0)
        np.testing.assert_allclose(H, H0, rtol=0, atol=1e-5 * np.abs(H0).max())
        # What deviates is a difference of numbers in float32, and of the stream in float32.
        np.testing.assert_allclose(C, C0, rtol=0, atol=1e-5 * np.abs(H0).max())
        assert (R is None) == (R0 is None)
        if R0 is not None:
            np.testing.assert_allclose(R, R0, rtol=0, atol=2e-5 * np.abs(R0).max() + 1e-7)
        assert config == reference.Propagation(alpha=0.7, beta=0.4, ridge=0.05)
    # Nothing deviates where nothing is quantized yet.
    assert not any(np.any(C) for _, _, C, _, _ in port.calls[:3])
    assert all(np.any(C) for _, _, C, _, _ in port.calls[3:])


def test_the_corrected_weight_is_what_is_quantized(tiny, sequences, tmp_path):
    port, settings = Seen(), make_settings(tiny, sequences, LABEL)
    manifest = quantize_model(tiny, port, settings, sequences, out=tmp_path)
    for layer, (*arguments, R) in zip(manifest.layers, port.calls, strict=True):
        target = reference.propagated_weights(*arguments, residual=R)
        made = reference.billm_layer(target, arguments[1]).with_scales("float16")
        found = load_records(record_path(tmp_path, layer.block)).layers[layer.name]
        assert np.array_equal(found.decode(), made.decode())
        error = reference.relative_error(target, made.decode(), arguments[1])
        assert layer.relative_error == pytest.approx(error)
    about = json.loads((tmp_path / MANIFEST).read_text())["settings"]["propagation"]
    assert about == {"name": "loaq", "alpha": 0.7, "beta": 0.4, "ridge": 0.05}
    assert manifest == load_manifest(tmp_path)
    assert {part.fault for part in verify(tmp_path, manifest)} == {""}


def test_qep_leaves_out_the_last_linear_of_the_mlp(tiny, sequences):
    port = Seen()
    quantize_model(tiny, port, make_settings(tiny, sequences, "billm:paper+qep"), sequences)
    assert len(port.calls) == 18
    assert {W.shape for W, *_ in port.calls}.isdisjoint({(64, 160)})
    assert all(R is None for *_, R in port.calls)


def test_it_lowers_the_error_of_the_stream_on_its_own_tokens(sequences):
    """As it must where nothing is quantized afterwards; here it does so with one-bit layers."""
    errors = []
    for label in ("rtn:sign", "rtn:sign+gptaq", "rtn:sign+loaq"):
        model, full = load_model("tiny"), load_model("tiny")
        quantize_model(model, reference, make_settings(model, sequences, label), sequences)
        h = embed(full, sequences)
        g = h.copy()
        for index in range(full.n_blocks):
            advance(full, index, h)
            advance(model, index, g)
        errors.append(float(np.sum((h - g) ** 2) / np.sum(h**2)))
    assert errors[0] > errors[1] > errors[2]


def test_without_it_nothing_says_so(tiny, sequences, settings, tmp_path):
    quantize_model(tiny, reference, settings, sequences, out=tmp_path)
    assert "propagation" not in json.loads((tmp_path / MANIFEST).read_text())["settings"]
    assert "propagation" not in load_records(record_path(tmp_path, 0)).about


def test_any_number_of_processes_gives_the_bits_of_one(sequences, tmp_path):
    def run(name, crew):
        model = load_model("tiny")
        settings = make_settings(model, sequences, LABEL, blocks=(0, 2))
        manifest = quantize_model(model, crew, settings, sequences, out=tmp_path / name)
        return without_times(manifest), files_of(tmp_path / name)

    with Processes("reference", 2) as crew:
        assert run("two", crew) == run("one", reference)


class Stopping(StoppingPort):
    def propagated_weights(self, *arguments, **named):
        return reference.propagated_weights(*arguments, **named)


@pytest.mark.parametrize("calls", [3, 8, 18])
def test_a_resumed_run_gives_the_same_bytes(calls, sequences, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    settings = make_settings(load_model("tiny"), sequences, LABEL)
    steps = []
    quantize_model(load_model("tiny"), reference, settings, sequences, out=whole)
    port = Stopping(calls, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quantize_model(load_model("tiny"), port, settings, sequences, out=stopped)
    quantize_model(
        load_model("tiny"), reference, settings, sequences, out=stopped, resume=True,
        hooks=Hooks(step=steps.append),
    )  # fmt: skip
    assert files_of(whole) == files_of(stopped)
    assert len(steps) == count_steps(load_model("tiny"), settings) == 3 * (4 + 7 + 1)


@pytest.mark.parametrize("other", ["billm:paper", "billm:paper+loaq", "billm:paper+qep"])
def test_another_setting_does_not_continue_a_run(other, sequences, tmp_path):
    settings = make_settings(load_model("tiny"), sequences, LABEL, blocks=(0, 1))
    quantize_model(load_model("tiny"), reference, settings, sequences, out=tmp_path)
    changed = make_settings(load_model("tiny"), sequences, other, blocks=(0, 1))
    said = "started with propagation loaq:alpha=0.7:beta=0.4:ridge=0.05, not "
    with pytest.raises(SubbitError, match=re.escape(said)):
        quantize_model(load_model("tiny"), reference, changed, sequences, out=tmp_path, resume=True)


def test_an_unquantized_part_counts_as_it_is(sequences):
    """Two kinds of linears alone, after a block that stays as it is."""
    model = load_model("tiny")
    port = Seen()
    settings = make_settings(model, sequences, LABEL, blocks=(1, 3), parts=("o", "down"))
    quantize_model(model, port, settings, sequences)
    assert len(port.calls) == 4
    assert not np.any(port.calls[0][2])
    assert np.any(port.calls[1][4])


def test_a_block_that_adds_something_else_is_refused(tiny, sequences):
    class Doubled:
        def __getattr__(self, name):
            return getattr(tiny, name)

        def run_block(self, index, hidden, capture=None):
            return 2 * tiny.run_block(index, hidden, capture)

    model = Doubled()
    for label, refused in (("rtn:sign+loaq", True), ("rtn:sign+gptaq", False)):
        settings = make_settings(model, sequences, label, blocks=(0, 1))
        if refused:
            with pytest.raises(ArgumentError, match="adds something else than those of self_attn"):
                quantize_model(model, reference, settings, sequences)
        else:
            quantize_model(model, reference, settings, sequences)


def test_an_input_of_some_tokens_is_refused(tiny, sequences):
    class Routed:
        def run_block(self, _index, hidden, capture):
            capture("some", hidden[:1, :5])
            return hidden

    with pytest.raises(ArgumentError, match="every token reaches every linear, without experts"):
        run_up_to(Routed(), 0, embed(tiny, sequences), {"some"})


def test_weights_come_back_where_a_pass_fails(tiny, sequences):
    streams = Streams(tiny, parse_correction("gptaq"))
    hidden, before = embed(tiny, sequences), all_weights(tiny)
    streams.begin(0, tiny.linears(0), hidden)
    tiny.set_weight(0, "self_attn.o_proj", 0 * before[0, "self_attn.o_proj"])
    now = all_weights(tiny)
    tiny.run_block = lambda *_: np.full_like(hidden, np.nan)
    with pytest.raises(SubbitError, match="NaN"):
        streams.leave(0)
    assert all(np.array_equal(now[key], W) for key, W in all_weights(tiny).items())


def test_a_port_needs_the_function(tiny, sequences):
    port = Seen()
    Bare = dataclasses.make_dataclass("Bare", [])
    bare = Bare()
    bare.billm_layer = port.billm_layer
    with pytest.raises(ArgumentError, match="a port that has propagated_weights"):
        quantize_model(tiny, bare, make_settings(tiny, sequences, LABEL), sequences)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("billm+qep", "billm:paper+qep"),
        ("stbllm@4:8/outlier+loaq", "stbllm:paper@4:8/outlier+loaq"),
        ("billm+loaq:ridge=0.01:beta=.5", "billm:paper+loaq:beta=0.5"),
        ("billm+gptaq:alpha=0", "billm:paper+gptaq:alpha=0.0"),
    ],
)
def test_labels_say_it_in_one_way(text, printed):
    assert str(parse_label(text)) == printed
    assert parse_label(printed) == parse_label(text)
    assert isinstance(parse_label(text), Label)


@pytest.mark.parametrize(
    "text", ["+", "+qap", "+qep:alpha", "+qep:alpha=2", "+qep:gamma=1", "+qep:ridge=nan",
             "+qep:alpha=1:alpha=1", "+qep+qep", "+qep/outlier"],
)  # fmt: skip
def test_other_words_are_refused(text):
    with pytest.raises(ArgumentError):
        parse_label(f"billm{text}")


def test_the_command_takes_it(tmp_path):
    common = ["quantize", "tiny", "--method=billm", "--samples=2", "--length=16"]
    run = CliRunner().invoke
    options = [f"--out={tmp_path / 'out'}", "--propagate=loaq", "--alpha=0.5", "--ridge=0.1"]
    result = run(cli.make_app("quantize"), [*common, *options, "--workers=1", "--no-checkpoint"])
    assert result.exit_code == 0, result.output
    assert "billm:paper+loaq:alpha=0.5:ridge=0.1" in result.output
    result = run(cli.make_app("quantize"), [*common, f"--out={tmp_path / 'other'}", "--beta=1"])
    assert result.exit_code == 2
    assert "--beta: expected --propagate alongside it" in " ".join(result.output.split())
    assert not (tmp_path / "other").exists()
