"""Contracts: one declaration gives the checks, the signature and the documentation."""

import inspect
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from typing import ClassVar

import numpy as np
import pytest

from subbit import fast, reference
from subbit.conformance.cases.names import CALLS
from subbit.conformance.protocol import PROTOCOL
from subbit.fast.groups.binarize import masked_mean
from subbit.reference.contracts import door, room
from subbit.reference.contracts.door import ALL, Contract, contract
from subbit.reference.contracts.kind import Call
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.room import REFERENCE
from subbit.reference.contracts.scalars import Choice, Whole
from subbit.reference.contracts.settings import Switches, domains
from subbit.reference.contracts.words import ENTRIES, WEIGHTS
from subbit.reference.errors import ArgumentError

W = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 1.5, -1.0, 2.0]])
LAYERS = {name: method for name, method in reference.METHODS.items() if method.entry != "rtn_layer"}
CONFIGURATIONS = sorted(
    {type(c) for m in reference.METHODS.values() for c in m.presets.values()}
    | {
        reference.Loop,
        reference.Partition,
        reference.ColumnGroups,
        reference.Refinement,
        reference.SPBO,
        reference.Pruning,
        reference.Regions,
        reference.Fine,
    },
    key=str,
)


class Counted(room.Arrays):
    """Counts how often an argument is checked."""

    seen: ClassVar[list[str]] = []

    def numbers(self, name, value, shape):
        self.seen.append(name)
        return super().numbers(name, value, shape)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_checks_its_weights_once(name, monkeypatch):
    monkeypatch.setattr(Counted, "seen", [])
    monkeypatch.setattr(door, "Arrays", Counted)
    method = LAYERS[name]
    config = next(iter(method.presets.values()))
    if "tail" in config.switches():
        config = config.changed(tail="dense")
    if "payload" in config.switches():
        config = config.changed(payload=64.0)
    X = np.random.default_rng(0).standard_normal((2, 40, 24))
    weights = np.random.default_rng(1).standard_normal((3, 24))
    H = X[0].T @ X[0] + X[1].T @ X[1]
    getattr(reference, method.entry)(weights, H, config)
    assert Counted.seen == ["W", "H"]


@contract(2, W=WEIGHTS, mask=ENTRIES)
def _total(W, mask=ALL):
    """Sum of some weights."""
    return float(np.sum(W[mask]))


@contract(2, W=WEIGHTS, mask=ENTRIES)
def _doubled(W, mask=ALL):
    """Twice the sum."""
    return 2 * _total(W, mask)


@contract(2, W=WEIGHTS)
def _whole(W):
    """The sum of all weights, by an inner call without a mask."""
    return _total(W)


def test_inner_calls_are_plain_and_omitted_masks_are_filled_in():
    assert _doubled([[1, 2]]) == 6.0
    assert _whole([[1, 2]]) == 3.0


def test_only_the_outermost_call_is_checked():
    with REFERENCE.inside():
        assert _total(np.array([[np.nan]]), np.array([[False]])) == 0.0
    with pytest.raises(ArgumentError, match=r"^W: "):
        _total([[np.nan]])


def test_the_door_closes_behind_errors():
    with pytest.raises(ArgumentError):
        reference.relative_error(np.zeros((1, 2)), np.ones((1, 2)), np.zeros((2, 2)) + np.eye(2))
    assert not REFERENCE.entered
    with pytest.raises(ArgumentError, match=r"^W: "):
        reference.masked_mean([[np.inf]])


def test_steps_are_checked_at_once_and_computed_plainly():
    with pytest.raises(ArgumentError, match=r"^order: "):
        reference.arb_steps(W, order=3)
    steps = reference.arb_steps(W)
    assert next(steps)[0] == "start"
    # Between two steps the caller's own calls are checked.
    with pytest.raises(ArgumentError, match=r"^W: "):
        reference.masked_mean([[np.nan]])
    assert next(steps)[0] == "mean"


def test_a_callers_function_is_outside():
    def careless(current, columns):
        return reference.residual_binarize(current[:, columns] * np.nan)

    def wrong(current, columns):
        return current, columns

    def elsewhere(current, columns):
        group = reference.residual_binarize(current[:, columns])
        return reference.QuantizedBlock(columns.start + 1, columns.stop + 1, (group,))

    switches = {"block_size": 2, "mode": "exact"}
    for function, said in (
        (careless, r"^W: expected finite"),
        (wrong, r"^quantize_block: expected a QuantizedBlock"),
        (elsewhere, r"^quantize_block: expected a block of columns 0 to 2"),
    ):
        with pytest.raises(ArgumentError, match=said):
            reference.compensate(W, np.eye(4), function, **switches)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": np.array([0.0, np.nan])},
        {"mean": np.zeros(3)},
        {"mean": [0.0, 0.0]},
        {"mask": np.ones((2, 4))},
        {"mask": np.ones(4, dtype=bool)},
        {"mask": np.ma.array(np.ones((2, 4), dtype=bool), mask=W > 0)},
        {"name": 7},
        {"planes": []},
        {"planes": ()},
        {"planes": (1,)},
    ],
)
def test_fields_of_groups_are_held_to_what_they_promise(change):
    group = replace(reference.arb_start(W), **change)
    with pytest.raises(ArgumentError, match=r"^group"):
        reference.refine_mean(W, group)


@pytest.mark.parametrize(
    "change",
    [
        {"sign": np.ones((2, 4))},
        {"sign": np.full((2, 4), 2, dtype=np.int8)},
        {"sign": np.full((2, 4), -128, dtype=np.int8)},
        {"row_scale": np.array([1.0, np.inf])},
        {"row_scale": np.ones(2, dtype=np.float32)},
        {"column_scale": np.ones(4)},
    ],
)
def test_fields_of_planes_are_held_to_what_they_promise(change):
    group = reference.arb_start(W)
    group = replace(group, planes=(replace(group.planes[0], **change),))
    with pytest.raises(ArgumentError, match=r"^group"):
        reference.refine_mean(W, group)


def test_a_layer_with_a_gap_is_refused():
    layer = reference.rtn_layer(W, None, reference.RTN(group_size=2))
    with pytest.raises(ArgumentError, match=r"^layer: expected blocks that cover 4 columns"):
        reference.payload_bits(replace(layer, blocks=layer.blocks[:1]))
    with pytest.raises(ArgumentError, match=r"^layer: expected blocks from left to right"):
        reference.payload_bits(replace(layer, blocks=layer.blocks[1:]))


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": 5},
        {"blocks": (1,)},
        {"order": np.arange(4.0)},
        {"order": np.zeros(4, dtype=np.intp)},
        {"order": [[1], [1, 2]]},
        {"shape": (2, 4.0)},
    ],
)
def test_fields_of_layers_are_held_to_what_they_promise(change):
    with pytest.raises(ArgumentError, match=r"^layer"):
        reference.payload_bits(replace(reference.rtn_layer(W), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"pattern": (2, 0)},
        {"pattern": "ab"},
        {"pattern": (9, 3)},
        {"pattern": 5},
        {"start": np.array([0, 0])},
        {"start": False},
        {"stop": 4.0},
        {"groups": []},
        {"salient": np.ones(3, dtype=bool)},
    ],
)
def test_fields_of_blocks_are_held_to_what_they_promise(change):
    layer = reference.rtn_layer(W)
    with pytest.raises(ArgumentError, match=r"^layer"):
        reference.payload_bits(replace(layer, blocks=(replace(layer.blocks[0], **change),)))


def test_groups_and_zones_that_overlap_are_refused():
    layer, zone = reference.rtn_layer(W), reference.Zone("all", np.ones((2, 4), dtype=bool), 1)
    block = replace(layer.blocks[0], groups=layer.blocks[0].groups * 2)
    with pytest.raises(ArgumentError, match=r"^layer: expected groups with disjoint masks"):
        reference.nominal_bits(replace(layer, blocks=(block,)))
    with pytest.raises(ArgumentError, match=r"^zones: expected disjoint"):
        reference.refine_zones(W, (zone, zone), gram=np.eye(4))
    with pytest.raises(ArgumentError, match=r"^zones: "):
        reference.refine_zones(W, (replace(zone, mask=zone.mask.tolist()),), gram=np.eye(4))


def test_numbers_of_numpy_become_pythons_in_a_configuration():
    """A block size of uint8 would overflow at the third block."""
    wide, H = np.random.default_rng(0).standard_normal((3, 300)), np.eye(300)
    config = reference.BiLLM(block_size=np.uint8(100), center=np.True_)
    assert type(config.loop.block_size) is int
    assert repr(config) == "BiLLM(block_size=100, center=True)"
    assert [b.stop for b in reference.billm_layer(wide, H, config).blocks] == [100, 200, 300]


def test_hidden_entries_are_refused():
    hidden = np.ma.array([[1.0, 100.0]], mask=[[False, True]])
    with pytest.raises(ArgumentError, match=r"^W: expected an array without hidden entries"):
        reference.masked_mean(hidden)
    assert reference.masked_mean(np.ma.array([[1.0, 2.0]])) == 1.5


def test_no_answer_is_infinite():
    said = r"^W: expected numbers whose answer is finite"
    with np.errstate(divide="ignore"), pytest.raises(ArgumentError, match=said):
        reference.trailing_saliency(W, np.eye(4) * 1e-300)


def test_a_callers_function_cannot_change_the_callers_weights():
    def greedy(current, columns):
        current[:] = 0.0
        return columns

    with pytest.raises(ValueError, match="read-only"):
        reference.compensate(W.copy(), np.eye(4), greedy, block_size=2, mode="exact")


def test_times_are_no_numbers():
    for call in (
        lambda: reference.block_slices(5, np.timedelta64(1, "s")),
        lambda: reference.damp(np.eye(2), np.timedelta64(1, "s")),
        lambda: reference.sign([1.0], np.timedelta64(1, "s")),
    ):
        with pytest.raises(ArgumentError):
            call()


def test_the_package_is_imported_without_docstrings():
    code = "import subbit.reference as r; print(r.GPTQ(bits=3), r.masked_mean([[1.0, 3.0]]))"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["GPTQ(bits=3)", "[2.]"]


def test_a_device_is_given_by_place_or_by_name():
    device = fast.on("simulated").device
    assert masked_mean(device=device, W=[[1.0, 3.0]]) == masked_mean(device, [[1.0, 3.0]])
    with pytest.raises(TypeError, match="device"):
        masked_mean()


class Odd:
    pass


ODD = [
    object(), {}, set(), "x", b"x", [], [[]], [None], [[1.0], [1.0, 2.0]], np.array([object()]),
    np.array("x"), lambda: 0, Odd, True, 2**70, -(2**70), 1e400, 1 + 2j, (True, False),
    slice(0, 10**9), np.datetime64("2020"),
]  # fmt: skip


def _refusal(name, call):
    """The argument that a refusal names, or None."""
    try:
        found = getattr(reference, name)(**call)
        if inspect.isgenerator(found):
            list(found)
    except ArgumentError as error:
        return error.argument.partition(".")[0]
    return None


@pytest.mark.parametrize("name", CALLS)
def test_whatever_comes_is_taken_or_refused_by_name(name):
    """An argument of another kind is refused by name or accepted; nothing else happens."""
    for argument in CALLS[name]:
        for value in ODD:
            if argument == "quantize_block" and callable(value):
                continue
            said = _refusal(name, {**CALLS[name], argument: value})
            assert said is None or said in CALLS[name], (argument, value)


@pytest.mark.parametrize("name", PROTOCOL)
def test_documentation_says_what_is_taken(name):
    value = getattr(reference, name)
    text, terms = inspect.getdoc(value), PROTOCOL[name].contract
    for argument, kind in terms.kinds.items():
        assert kind.text.strip(), argument
        assert f"{argument} : " in text
    if inspect.isfunction(value):
        assert text.count("Parameters\n------") == text.count("Raises\n------") == 1
        signature = str(inspect.signature(value))
        assert "Union" not in signature
        assert "ndarray" not in signature.partition("->")[0]


@pytest.mark.parametrize(
    ("name", "argument"),
    [("billm_block", "alive"), ("removal_loss", "removed"), ("stbllm_block", "kept")],
)
def test_a_mask_that_is_needed_is_not_taken_for_all(name, argument):
    with pytest.raises(ArgumentError, match=rf"^{argument}: expected a boolean array"):
        getattr(reference, name)(**{**CALLS[name], argument: None})


def test_a_contract_about_other_parameters_is_an_error():
    def function(W):
        return W

    with pytest.raises(TypeError, match="function is about"):
        Contract(function, 1, {"V": matrix("n", "k")})


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_configuration_has_a_domain(kind):
    """A value outside each domain is refused by the field's name."""
    defaults = kind()
    for name, domain in domains(kind).items():
        assert domain.describe()
        for value in ("no such setting", -1, [1, 2], float("nan"), object()):
            with pytest.raises(ArgumentError, match=rf"^{name}: "):
                defaults.changed(**{name: value})


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_every_field_is_documented_where_it_is(kind):
    text = inspect.getdoc(kind)
    documented = re.findall(r"(?m)^(\w+) : (.*)$", text.partition("----------")[2])
    assert [name for name, _ in documented] == [field.name for field in fields(kind)]
    for field, (_, said) in zip(fields(kind), documented, strict=True):
        if isinstance(field.default, Switches):
            assert said == type(field.default).__name__
        else:
            assert said.endswith((f"default {field.default!r}", f'default "{field.default}"'))


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_a_setting_has_one_home(kind):
    """Except for the sign of zero, which searches and refinements share and must agree on."""
    homes = Counter(name for part in parts_of(kind()) for name in own_names(part))
    assert {name for name, count in homes.items() if count > 1} <= {"sign_zero"}
    assert set(homes) == set(kind().switches()) == set(domains(kind))


def parts_of(config):
    inner = [value for value in vars(config).values() if isinstance(value, Switches)]
    return [config, *(part for value in inner for part in parts_of(value))]


def own_names(config):
    return [name for name, value in vars(config).items() if not isinstance(value, Switches)]


def test_a_setting_is_given_by_its_own_name():
    config = reference.PBS2P(keep=(2, 4), levels="exact", counts=(0, 9), sign_zero=0)
    assert config.pruning.keep == (2, 4)
    assert config.pruning.refinement.levels == "exact"
    assert config.zones.partition.counts == (0, 9)
    assert config.zones.partition.sign_zero == config.pruning.refinement.sign_zero == 0
    assert eval(repr(config), vars(reference).copy()) == config  # noqa: S307
    assert config.changed(sign_zero=1, keep=(4, 8)) == reference.PBS2P(
        loop=config.loop, levels="exact", counts=(0, 9)
    )
    assert config.part(reference.Partition) is config.zones.partition
    with pytest.raises(TypeError, match="BiLLM has no part Refinement"):
        reference.BiLLM().part(reference.Refinement)


def test_parts_that_share_a_setting_agree():
    with pytest.raises(ArgumentError, match="sign_zero: expected one setting for all parts"):
        reference.ARBLLM(refinement=reference.Refinement(sign_zero=0))
    assert reference.ARBLLM(refinement=reference.Refinement(sign_zero=0), sign_zero=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reference.BiLLM(bits=3), "bits: expected a setting of BiLLM, one of block_size"),
        (lambda: reference.BiLLM().changed(bits=3), "bits: expected a setting of BiLLM"),
        (lambda: reference.GPTQ().changed(counts=3), "counts: expected a setting of GPTQ"),
        (lambda: reference.BiLLM(loop=3), "loop: expected a Loop configuration, got int"),
        (lambda: reference.BiLLM(zones=reference.Loop()), "zones: expected a Partition config"),
        (lambda: reference.ARBLLM(block_size=0), "block_size: expected a whole number from 1"),
    ],
)
def test_settings_that_do_not_belong_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_settings_are_not_mixed_up():
    """In Python, True and 1.0 equal 1; as a setting, each is a mistake."""
    sign_zero, order = Choice((1, 0)), Whole(1, 2)
    for kind in (sign_zero, order):
        for value in (True, 1.0, "1", None):
            with pytest.raises(ArgumentError):
                kind.check("it", value, Call({}, room.Arrays(), REFERENCE))
