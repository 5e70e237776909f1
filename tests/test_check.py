"""The check command: exit codes, tables, JSON, and one sentence for everything unusable."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from subbit import reference
from subbit.conformance import released, target
from subbit.reference.errors import ArgumentError

VECTORS = Path(released.__file__).parent / "vectors" / "released"


@pytest.fixture
def folder(tmp_path):
    """Two files of the frozen cases."""
    for name in ("quantizer_00_gauss.npz", "layer_03_shift_dead.npz"):
        shutil.copy(VECTORS / name, tmp_path / name)
    return tmp_path


def _rewrite(path, **changes):
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def _one_sentence(result):
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


def test_the_reference_conforms_to_all_frozen_cases(run, tmp_path):
    report = tmp_path / "report.json"
    result = run("reference", "--released", VECTORS, "--json", report)
    assert result.exit_code == 0
    assert "178 conform, 0 diverge" in result.output
    arrays = json.loads(report.read_text())["arrays"]
    assert {"file", "array", "deviation", "rule", "passed"} <= set(arrays[0])
    compared = [item for item in arrays if item["passed"] is not None]
    assert len(compared) == 178
    for item in compared:
        assert item["passed"] is True
        # Second signs that are ties at the size of an eps; the rule says more.
        wide = item["array"].startswith("arb.")
        assert item["deviation"] < (1e-8 if wide else 1e-12)
        limits = ("1e-09 of max|W|", "1e-12 of max|W|", "1e-12 of max|H|")
        assert item["rule"] == "1e-08 of max|W|" if wide else item["rule"] in limits
    assert len(arrays) == len(compared)
    assert not any(item["array"] in ("W", "X", "S", "mask") for item in arrays)


def test_all_frozen_cases_are_there():
    names = []
    for path in VECTORS.glob("*.npz"):
        with np.load(path, allow_pickle=False) as archive:
            names += [name for name in archive.files if released.rule_of(name) is not None]
    assert len(names) == 178
    assert sum(name.startswith("billm.") for name in names) == 20
    assert sum(name.startswith("sparsegpt.") for name in names) == 17
    assert sum(name.startswith("gptq.") for name in names) == 18
    assert sum(name.startswith("wanda.") for name in names) == 9
    assert sum(name.startswith("pb_llm.") for name in names) == 6
    assert sum(name.startswith("residual_") for name in names) == 10


def test_the_index_is_optional_but_must_be_right(run, folder):
    assert run("reference", "--released", folder).exit_code == 0
    index = folder / "index.json"
    index.write_text('[{"file": "quantizer_00_gauss.npz"}]')
    assert run("reference", "--released", folder).exit_code == 0
    index.write_text('[{"file": "quantizer_77.npz"}]')
    assert "quantizer_77.npz" in _one_sentence(run("reference", "--released", folder))
    index.write_text("[{]")
    assert "index.json" in _one_sentence(run("reference", "--released", folder))


@pytest.mark.parametrize(
    ("file", "array", "change"),
    [
        ("quantizer_00_gauss.npz", "residual_order1", 1e-11),
        ("quantizer_00_gauss.npz", "residual_order2", 1e-11),
        ("layer_03_shift_dead.npz", "billm.hessian", 1e-8),
        ("layer_03_shift_dead.npz", "billm.magnitude.no_compensation", 1e-8),
        ("layer_03_shift_dead.npz", "H", 1e-11),
    ],
)
def test_a_changed_output_is_a_divergence(run, folder, tmp_path, file, array, change):
    with np.load(folder / file, allow_pickle=False) as archive:
        changed = archive[array].copy()
        scale = np.abs(archive["H" if array == "H" else "W"]).max()
    changed.flat[5] += change * scale
    _rewrite(folder / file, **{array: changed})
    result = run("reference", "--released", folder, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "1 diverge," in result.output
    failed = [
        a for a in json.loads((tmp_path / "out.json").read_text())["arrays"] if a["passed"] is False
    ]
    assert [(a["file"], a["array"], a["status"]) for a in failed] == [(file, array, "diverges")]
    assert failed[0]["deviation"] == pytest.approx(change, rel=1e-2)


def test_a_deviation_within_the_rule_conforms(run, folder):
    path = folder / "layer_03_shift_dead.npz"
    with np.load(path, allow_pickle=False) as archive:
        changed = archive["billm.hessian"] + 1e-11 * np.abs(archive["W"]).max()
    _rewrite(path, **{"billm.hessian": changed})
    assert run("reference", "--released", folder).exit_code == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_a_divergence(run, folder, tmp_path, value):
    path = folder / "quantizer_00_gauss.npz"
    with np.load(path, allow_pickle=False) as archive:
        changed = archive["residual_order1"].copy()
    changed[0, 0] = value
    _rewrite(path, residual_order1=changed)
    result = run("reference", "--released", folder, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)


def test_an_output_of_another_shape_is_a_divergence(run, folder):
    _rewrite(folder / "quantizer_00_gauss.npz", residual_order1=np.zeros((2, 3)))
    assert run("reference", "--released", folder).exit_code == 1


def test_a_port_that_fails_diverges_and_the_rest_is_compared(run, folder, make_port, tmp_path):
    name = make_port("def billm_layer(*_, **__): raise KeyError('W')")
    result = run(name, "--released", folder, "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    arrays = {a["array"]: a for a in json.loads((tmp_path / "out.json").read_text())["arrays"]}
    assert "KeyError" in arrays["billm.hessian"]["status"]
    assert arrays["billm.hessian"]["passed"] is False
    assert arrays["H"]["passed"] is True


def test_a_function_that_a_port_lacks_is_not_implemented(run, folder, make_port, tmp_path):
    name = make_port(drop=["billm_layer"])
    result = run(name, "--released", folder, "--json", tmp_path / "out.json")
    assert result.exit_code == 0
    arrays = {a["array"]: a for a in json.loads((tmp_path / "out.json").read_text())["arrays"]}
    assert arrays["billm.hessian"]["passed"] is None
    assert "billm_layer" in arrays["billm.hessian"]["status"]
    assert arrays["residual_order1"]["passed"] is True


def test_nothing_that_can_be_compared_is_code_2(run, folder, make_port, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "a folder of .npz files" in _one_sentence(run("reference", "--released", empty))
    missing = tmp_path / "missing"
    assert str(missing) in _one_sentence(run("reference", "--released", missing))
    a_file = folder / "quantizer_00_gauss.npz"
    assert str(a_file) in _one_sentence(run("reference", "--released", a_file))
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    np.savez(unknown / "case.npz", W=np.ones((2, 2)), another_method=np.ones((2, 2)))
    _one_sentence(run("reference", "--released", unknown))
    bare = make_port(drop=reference.__all__)
    _one_sentence(run(bare, "--released", folder))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"nonsense", None])
def test_damaged_files_are_one_sentence(run, folder, content):
    path = folder / "quantizer_00_gauss.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert "quantizer_00_gauss.npz" in _one_sentence(run("reference", "--released", folder))


def test_pickled_arrays_are_refused(run, folder):
    buffer = io.BytesIO()
    np.savez(buffer, W=np.ones((2, 2)), residual_order1=np.array([{"a": 1}], dtype=object))
    (folder / "evil.npz").write_bytes(buffer.getvalue())
    assert "evil.npz" in _one_sentence(run("reference", "--released", folder))


@pytest.mark.parametrize("lost", ["W", "mask"])
def test_outputs_without_their_inputs_are_one_sentence(run, folder, lost):
    _rewrite(folder / "quantizer_00_gauss.npz", **{lost: None})
    assert f"no {lost} in quantizer_00_gauss.npz" in _one_sentence(
        run("reference", "--released", folder)
    )


@pytest.mark.parametrize(
    "name", ["", "no.such.module", "subbit.reference:no_such_object", ":", "os.", "..", "json:x.y"]
)
def test_unknown_targets_are_one_sentence(run, folder, name):
    assert "target: expected reference" in _one_sentence(run(name, "--released", folder))


def test_a_report_that_cannot_be_written_is_one_sentence(run, folder, tmp_path):
    place = tmp_path / "no" / "such" / "report.json"
    assert "report.json" in _one_sentence(run("reference", "--released", folder, "--json", place))


def test_targets_resolve_by_module_object_and_entry_point(monkeypatch, make_port):
    assert target.resolve("reference") is reference
    assert target.resolve("subbit.reference") is reference
    assert target.resolve("subbit.reference:objective.weight_error") is reference.weight_error
    assert target.resolve(make_port()).billm_layer is reference.billm_layer

    class Entry:
        name = "mine"

        @staticmethod
        def load():
            return reference

    monkeypatch.setattr(
        target, "entry_points", lambda group: [Entry()] if "subbit" in group else []
    )
    assert target.resolve("mine") is reference


def test_a_target_that_breaks_on_import_is_named(monkeypatch, tmp_path):
    (tmp_path / "breaks_on_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ArgumentError, match=r"breaks_on_import.*ZeroDivisionError"):
        target.resolve("breaks_on_import")


def test_levels_of_nothing(run, make_port):
    result = run(make_port(drop=reference.__all__), "--depth", "quick", "--level", 1)
    assert result.exit_code == 2
    assert "0 checks passed, 0 failed" in result.output


@pytest.mark.parametrize("case", ["sign", "sign:x", "nothing:3", ":", "sign:-1"])
def test_replays_that_do_not_exist_are_one_sentence(run, case):
    assert "--replay" in _one_sentence(run("reference", "--replay", case))


@pytest.mark.parametrize("option", ["--json", "--html", "--junit", "--badge"])
def test_files_that_cannot_be_written_are_refused_before_the_run(run, tmp_path, option, make_port):
    """The port would leave a trace if it were asked."""
    trace = tmp_path / "asked"
    port = make_port(f"open({str(trace)!r}, 'w').close()")
    for place in (tmp_path / "no" / "folder" / "x", tmp_path, tmp_path / "file" / "x"):
        (tmp_path / "file").touch()
        said = _one_sentence(run(port, "--depth", "quick", option, place))
        assert f"{option}: expected a file" in said
        assert str(place) in said
    assert not trace.exists()


def test_a_folder_without_the_right_to_write_is_refused(run, tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("subbit.conformance.command.outputs.tempfile.TemporaryFile", refuse)
    said = _one_sentence(run("reference", "--depth", "quick", "--json", tmp_path / "x.json"))
    assert "--json: expected a file in a folder that can be written" in said
    assert "Permission denied" in said


def test_unknown_depth_is_one_sentence(run):
    assert "--depth" in _one_sentence(run("reference", "--depth", "deepest"))


@pytest.mark.parametrize("level", [-1, 4])
def test_unknown_level_is_one_sentence(run, level):
    assert "--level" in _one_sentence(run("reference", "--level", level))


def test_the_fast_path_is_named(run):
    assert target.resolve("fast:simulated").CAPABILITIES["dtype"] == "float32"
    assert target.arithmetic_of(target.resolve("fast:simulated")).unit_roundoff == 2.0**-24
    assert "fast:abacus" in _one_sentence(run("fast:abacus", "--replay", "sign:1"))
