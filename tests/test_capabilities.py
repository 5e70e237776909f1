"""What ports declare: refused where it is wrong, and respected where it is right."""

import json
import types

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.capabilities import KEYS, read_capabilities
from subbit.conformance.declared import UndeclaredError, within
from subbit.reference.errors import ArgumentError


def port_with(**capabilities):
    own = {name: getattr(reference, name) for name in reference.__all__}
    return types.SimpleNamespace(**own, CAPABILITIES=capabilities)


WRONG = [
    ({"dtyp": "float32"}, "CAPABILITIES: expected keys among dtype, .*, got 'dtyp'"),
    ({"lane": 32}, "CAPABILITIES: expected keys among .*lanes, .*, got 'lane'"),
    ({3: 1}, "CAPABILITIES: expected keys among .*, got 3"),
    ([("dtype", "float32")], "CAPABILITIES: expected a mapping"),
    ("float32", "CAPABILITIES: expected a mapping, got 'float32'"),
    ({"dtype": "float8"}, r"CAPABILITIES\['dtype'\]: expected one of float16, .*, got float8"),
    ({"dtype": np.float32}, r"CAPABILITIES\['dtype'\]: expected one of float16"),
    ({"lanes": 0}, r"CAPABILITIES\['lanes'\]: expected a whole number of at least 1, got 0"),
    ({"lanes": "32"}, r"CAPABILITIES\['lanes'\]: expected a whole number"),
    ({"lanes": True}, r"CAPABILITIES\['lanes'\]: expected a whole number"),
    ({"depth": {"row": 3}}, r"CAPABILITIES\['depth'\]: expected a depth for each .* 'row'"),
    ({"depth": {"row": lambda _: -1}}, r"CAPABILITIES\['depth'\]: expected a depth"),
    ({"depth": {"rows": lambda n: n}}, r"CAPABILITIES\['depth'\]: expected one of row"),
    ({"depth": 7}, r"CAPABILITIES\['depth'\]: expected depths of sums by kind"),
    ({"stored": {"scale": "float16"}}, r"CAPABILITIES\['stored'\]: expected one of scales"),
    ({"stored": {"scales": "int8"}}, r"CAPABILITIES\['stored'\]: expected one of float16"),
    ({"stored": "float16"}, r"CAPABILITIES\['stored'\]: expected types by what is stored"),
    ({"sizes": {"column": 8}}, r"CAPABILITIES\['sizes'\]: expected one of rows"),
    ({"sizes": {"columns": 8.0}}, r"CAPABILITIES\['sizes'\]: expected a whole number"),
    ({"device": 3}, r"CAPABILITIES\['device'\]: expected text, got 3"),
    ({"versions": {"nvcc": 13}}, r"CAPABILITIES\['versions'\]: expected text, got 13"),
    ({"settings": {"sign": 1}}, r"CAPABILITIES\['settings'\]: expected values by setting"),
    ({"settings": {"sign": {"zero": []}}}, r"CAPABILITIES\['settings'\]: expected a list"),
    ({"settings": {"sign": {"zero": {"max": 1}}}}, r"expected one of least, most, got max"),
    ({"settings": {"signs": {}}}, r"expected functions of the protocol or '\*', got 'signs'"),
    ({"settings": {"sign": {"nil": [1]}}}, r"expected settings of sign, which has zero, got 'nil'"),
    ({"settings": {"*": {"nil": [1]}}}, r"expected settings of \*, .*, got 'nil'"),
]


def test_an_argument_with_the_name_of_a_setting_is_none():
    """`group` is a size of N:M masks, and elsewhere a record."""
    port = within(port_with(settings={"*": {"group": {"most": 2}}}))
    W = [[1.0, 2.0]]
    assert port.refine_mean(W, reference.arb_start(W)).mean.tolist() == [1.5]
    with pytest.raises(UndeclaredError, match="nm_mask has group at most 2, not 4"):
        port.nm_mask([[1.0] * 4], 2, 4)


@pytest.mark.parametrize(("declared", "said"), WRONG)
def test_a_wrong_declaration_is_refused_by_its_key(declared, said):
    port = port_with()
    port.CAPABILITIES = declared
    with pytest.raises(ArgumentError, match=said):
        within(port)


def test_the_command_refuses_it_in_one_sentence(run, make_port):
    for words in (("--depth", "quick"), ("--replay", "sign:1"), ("--random", "--cases", 1)):
        result = run(make_port("CAPABILITIES = {'dtyp': 'float32'}"), *words)
        assert result.exit_code == 2
        lines = [line for line in result.stderr.splitlines() if "starting" not in line]
        assert len(lines) == 1
        assert "CAPABILITIES: expected keys among" in lines[0]


def test_pytest_refuses_it(pytester_run, make_port):
    done = pytester_run(make_port("CAPABILITIES = {'lane': 32}"), "-k", "test_operation and sign")
    assert done.returncode == 2
    assert "got 'lane'" in done.stdout


def test_all_but_depths_can_be_written_in_json():
    declared = {
        "dtype": "float32",
        "lanes": 32,
        "stored": {"scales": "float16"},
        "sizes": {"rows": 7, "columns": 64},
        "settings": {"*": {"keep": [[4, 8]]}, "rtn_layer": {"bits": {"least": 2, "most": 4}}},
        "device": "tpu",
        "versions": {"compiler": "1"},
    }
    assert {*declared, "depth"} == set(KEYS)
    again = json.loads(json.dumps(declared))
    assert read_capabilities(again) == read_capabilities(declared)
    within(port_with(**again))


W = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 1.5, -1.0, 2.0]])


def test_sizes_are_those_of_every_argument():
    port = within(port_with(sizes={"columns": 4, "rows": 2, "tokens": 3}))
    assert port.masked_mean(W).shape == (2,)
    wide, tall = np.ones((2, 5)), np.ones((3, 4))
    for call, said in (
        (lambda: port.masked_mean(wide), "masked_mean takes at most 4 columns, not 5"),
        (lambda: port.masked_mean(W=tall), "masked_mean takes at most 2 rows, not 3"),
        (lambda: port.sign(wide), "sign takes at most 4 columns, not 5"),
        (lambda: port.damp(np.eye(5), 0.01), "damp takes at most 4 columns, not 5"),
        (lambda: port.HessianAccumulator(5), "HessianAccumulator takes at most 4 columns, not 5"),
        (lambda: port.accumulate_hessian(np.ones((1, 4, 2))), "takes at most 3 tokens, not 4"),
    ):
        with pytest.raises(UndeclaredError, match=said):
            call()


def test_settings_are_arguments_and_switches():
    port = within(
        port_with(
            settings={
                "*": {"order": [1], "keep": [[1, 2]]},
                "rtn_layer": {"bits": {"least": 2, "most": 3}},
            }
        )
    )
    assert len(port.residual_binarize(W).planes) == 1
    with pytest.raises(UndeclaredError, match="residual_binarize has order 1, not 2"):
        port.residual_binarize(W, order=2)
    with pytest.raises(UndeclaredError, match="rtn_layer has bits at least 2 and at most 3, not 4"):
        port.rtn_layer(W, config=reference.RTN(kind="minmax", bits=4))
    port.rtn_layer(W, config=reference.RTN(kind="minmax", bits=3))
    with pytest.raises(UndeclaredError, match=r"wanda_layer has keep \(1, 2\), not \(2, 4\)"):
        port.wanda_layer(W, np.eye(4), config=reference.Wanda(keep=(2, 4)))


def test_what_the_contract_excludes_reaches_the_port():
    """Since it is the port that has to refuse it."""
    port = within(port_with(settings={"*": {"order": [1]}}))
    for wrong in (0, 7.5, "two", np.nan):
        with pytest.raises(ArgumentError, match="order"):
            port.residual_binarize(W, order=wrong)
    with pytest.raises(TypeError):
        port.residual_binarize(W, ordre=2)


def test_cases_outside_are_counted_and_said(run, few, make_port, tmp_path):
    few("residual_binarize", "interface_residual_binarize", "masked_mean")
    declared = {"sizes": {"columns": 30}, "settings": {"*": {"order": [1, 2]}}}
    name = make_port(f"""
    CAPABILITIES = {declared}
    def masked_mean(W, mask=None):
        assert np.shape(W)[-1] <= 30
        return reference.masked_mean(W, mask)
    """)
    file = tmp_path / "out.json"
    result = run(name, "--depth", "ci", "--json", file)
    assert result.exit_code == 4, result.output
    content = json.loads(file.read_text())
    assert content["result"] == "conforms with exceptions"
    rows = {(row["operation"], row["part"]): row for row in content["operations"]}
    for row in rows.values():
        assert row["failed"] == row["missing"] == 0
    assert rows["masked_mean", "numbers"]["declared"] > 0
    assert rows["masked_mean", "numbers"]["cases"] > 0
    assert rows["residual_binarize", "numbers"]["declared"] > 0
    declared = content["counts"]["cases_declared"]
    assert declared == sum(row["declared"] for row in rows.values())
    assert f"{declared} not compared (declared)" in result.output


def test_pytest_skips_them(pytester_run, make_port):
    name = make_port("CAPABILITIES = {'sizes': {'columns': 30}}")
    done = pytester_run(name, "-k", "test_operation and masked_mean", "-rs")
    assert done.returncode == 0
    assert "not compared (declared)" in done.stdout


def test_theorems_skip_them_as_well(make_port, pytester_run):
    from project import ROOT

    name = make_port("CAPABILITIES = {'sizes': {'rows': 1, 'columns': 1}}")
    file = ROOT / "conformance" / "theorems" / "test_binarize.py"
    done = pytester_run(name, file, "--deselect", "conformance/theorems/test_levels.py", "-rs")
    assert "failed" not in done.stdout.splitlines()[-1], done.stdout
    assert "takes at most 1" in done.stdout
