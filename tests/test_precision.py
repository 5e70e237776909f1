"""Ports that compute in fewer bits than they declare are rejected, and those that use all pass.

In cases beside a decision, also those that are exact but for what they compare and sort.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from project import some
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.asked import snapshot_of, taken
from subbit.conformance.cases.draw import NEAR, is_near
from subbit.conformance.cases.seeds import BESIDE, RARE, seeds_of
from subbit.conformance.mutants.changes import answers
from subbit.conformance.mutants.precision import WHERE, coarse_port, rounded
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.conformance.target import arithmetic_of

COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]
BESIDES = {
    name: (RARE if OPERATIONS[name].rarely else BESIDE)["ci"]
    for name in COMPUTED
    if OPERATIONS[name].decides
}
FLOAT32, FLOAT64 = {"dtype": "float32"}, {"dtype": "float64"}
FEWER = {"10 bits for float32": (10, FLOAT32), "23 bits for float64": (23, FLOAT64)}

WHOLE = "its arguments are whole numbers, or records of them; answers in fewer bits are rejected"


def needs(name):
    return OPERATIONS[name].needs


FEW_BITS = "its cases have numbers of few bits, whose ties are exact"
SIGNS = "rounding to fewer bits keeps zeros and signs"
STATE = "an accumulator is no function; it is asked below"
NOT_ROUNDED = {
    "sign": SIGNS,
    "dead_inputs": SIGNS,
    "no_steps": SIGNS,
    "exact_signs": FEW_BITS,
    "exact_joint_signs": FEW_BITS,
    "exact_assign_columns": FEW_BITS,
    "exact_binarization": FEW_BITS,
    "exact_minmax_grid": FEW_BITS,
    "exact_gptq": FEW_BITS,
    "exact_sparsegpt": FEW_BITS,
    "exact_pb_llm": FEW_BITS,
    "first_minimum": FEW_BITS,
    "hessian_in_batches": STATE,
    "sequences_past_24_bits": FEW_BITS,
} | dict.fromkeys(
    (
        "block_slices",
        "nominal_bits",
        "payload_bits",
        "published_bits",
        "arb_storage_bits",
        "gram_cost_ratio",
        "pattern_bits",
        "pattern_entropy",
        "rank_patterns",
        "unrank_patterns",
        "payload_of_patterns",
        "index_floor",
        "nominal_of_patterns",
        "nominal_of_levels",
        "payload_of_levels",
        "bits_of_products",
        "start_signs",
        "nominal_of_transformed",
        "payload_of_transformed",
        "stbllm_bits",
        "patterns_past_32_bits",
        "pattern_bits_past_64_bits",
        "sizes_past_32_bits",
        "slices_past_16_bits",
        "records_past_32_bits",
    ),
    WHOLE,
)
"""Operations that fewer bits do not make wrong, with the reason."""
COUNTING = sorted({f for name, why in NOT_ROUNDED.items() if why is WHOLE for f in needs(name)})
EXACT_IN = {
    ("pattern_bits", "23 bits for float64"): "no group has patterns of 2^24 bits",
    ("block_slices", "23 bits for float64"): "no layer has more than 2^24 columns",
    ("start_signs", "10 bits for float32"): "answers are signs",
    ("start_signs", "23 bits for float64"): "answers are signs",
    ("unrank_patterns", "10 bits for float32"): "answers are masks; mutants/counted.py has others",
    ("unrank_patterns", "23 bits for float64"): "answers are masks; mutants/counted.py has others",
}
"""Functions of whole numbers whose answers have fewer bits, with the reason."""
COMPARING = (
    "choose_kept",
    "typed_groups_layer",
    "code_exponents",
    "sparsegpt_layer",
    "sparsegpt_prune",
    "wanda_layer",
    "gptq_layer",
    "pb_llm_layer",
    "rtn_layer",
    "billm_layer_paper",
    "billm_layer_corrected",
    "two_means",
    "joint_signs",
    "choose_column_groups",
    "choose_salient",
    "choose_split",
    "choose_regions",
    "bell_split",
    "rank_columns",
    "rank_in_rows",
    "grid_codes",
    "coarse_budget",
    "norm_budget",
    "outlier_budget",
    "outlier_share",
    "repair_budget",
    "spbo_schedule",
    "pruning_masks",
    "removal_mask",
    "nm_mask",
    "nm_mask_of_importance",
    "row_mask",
    "threshold_mask",
    "trisection",
    "trisection_search",
    "bell_split_search",
    "calibrated_split_search",
    "billm_block",
    "stbllm_block",
    "pbs2p_block",
)
"""Operations that compare and sort computed numbers; the others compare with zero, which no
rounding moves, or leave the least of all objectives to the record. Of `arb_llm_block` no case
notices it; the searches that it consists of are here themselves."""


@cache
def fewer(what, where):
    bits, declared = FEWER[what]
    return coarse_port(bits, where, declared)


def rejected(port, name):
    item, arithmetic = OPERATIONS[name], arithmetic_of(port)
    # Those beside a decision first, as they mostly notice.
    seeds = sorted(seeds_of(item, "ci"), key=is_near, reverse=True)
    return any(item.check(port, arithmetic, seed).status == "failed" for seed in seeds)


@pytest.mark.parametrize("what", FEWER)
@pytest.mark.parametrize("name", some([n for n in COMPUTED if n not in NOT_ROUNDED]))
def test_fewer_bits_are_rejected(name, what):
    found = [rejected(fewer(what, where), name) for where in WHERE[:2]]
    assert all(found), dict(zip(WHERE, found, strict=False))


class Answers:
    """A port that keeps its answers."""

    def __init__(self, port):
        self.port, self.given = port, []

    def __getattr__(self, name):
        value = getattr(self.port, name)
        if name not in PROTOCOL or name in CLASSES:
            return value

        def ask(*places, **names):
            answer = taken(value(*places, **names))
            self.given.append(snapshot_of(answer))
            return iter(answer) if isinstance(answer, list) else answer

        return ask


@pytest.mark.parametrize("what", FEWER)
@pytest.mark.parametrize("name", [n for n, why in NOT_ROUNDED.items() if why in {SIGNS, FEW_BITS}])
def test_fewer_bits_make_no_difference(name, what):
    """Proof that nothing can be noticed: the answers are the same to the last bit."""
    item, rough = OPERATIONS[name], fewer(what, "arguments")
    for seed in seeds_of(item, "quick"):
        ports = Answers(reference), Answers(rough)
        for port in ports:
            item.check(port, arithmetic_of(rough), seed)
        assert ports[0].given == ports[1].given
        assert ports[0].given or name == "sequences_past_24_bits"


@pytest.mark.parametrize("where", ["batches", "answers"])
@pytest.mark.parametrize("what", FEWER)
def test_an_accumulator_in_fewer_bits_is_rejected(what, where):
    bits, declared = FEWER[what]

    class Rounding(reference.HessianAccumulator):
        def add(self, X):
            super().add(rounded(np.asarray(X), bits) if where == "batches" else X)

        def hessian(self):
            return rounded(super().hessian(), bits) if where == "answers" else super().hessian()

    honest = {name: getattr(reference, name) for name in reference.__all__}
    port = SimpleNamespace(**honest | {"HessianAccumulator": Rounding}, CAPABILITIES=declared)
    assert rejected(port, "hessian_in_batches")


def shortened(answer, bits):
    """Round the numbers of an answer, whole ones too."""
    if isinstance(answer, reference.PayloadBits):
        parts = {part: shortened(value, bits) for part, value in vars(answer).items()}
        return reference.PayloadBits(**parts)
    if isinstance(answer, slice):
        return slice(shortened(answer.start, bits), shortened(answer.stop, bits))
    if isinstance(answer, list):
        return [shortened(x, bits) for x in answer]
    if isinstance(answer, np.ndarray):
        return answer if answer.dtype == bool else rounded(answer, bits).astype(answer.dtype)
    return type(answer)(rounded(np.array(float(answer)), bits))


@pytest.mark.parametrize("what", FEWER)
@pytest.mark.parametrize("name", COUNTING)
def test_counts_in_fewer_bits_are_rejected(name, what):
    bits, declared = FEWER[what]
    function = answers(name, lambda answer: shortened(answer, bits))
    honest = {name: getattr(reference, name) for name in reference.__all__}
    port = SimpleNamespace(**honest | {name: function}, CAPABILITIES=declared)
    asked = [one for one, item in OPERATIONS.items() if item.level and name in item.needs]
    assert any(rejected(port, one) for one in asked) == ((name, what) not in EXACT_IN)


@pytest.mark.parametrize("what", FEWER)
@pytest.mark.parametrize("name", some(list(COMPARING)))
def test_comparisons_in_fewer_bits_are_rejected(name, what):
    assert rejected(fewer(what, "decisions"), name)


@pytest.mark.parametrize("name", some(list(BESIDES)))
def test_a_float32_port_passes_beside_every_decision(name):
    port = coarse_port(23, "throughout", FLOAT32)
    for n in range(BESIDES[name]):
        found = OPERATIONS[name].check(port, arithmetic_of(port), NEAR + n)
        assert found.status == "passed", found.message


def test_most_operations_that_decide_have_cases_beside_a_decision():
    """And each that compares has one."""
    found = [
        OPERATIONS[name].check(reference, arithmetic_of(reference), NEAR + n).message
        for name in some(COMPARING, every=3)
        for n in range(BESIDES[name])
    ]
    assert sum("no decision found" in said for said in found) < len(found) / 5
