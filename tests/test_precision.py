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
from subbit.conformance.cases.draw import NEAR
from subbit.conformance.cases.seeds import BESIDE, seeds_of
from subbit.conformance.mutants.changes import answers
from subbit.conformance.mutants.precision import WHERE, coarse_port, rounded
from subbit.conformance.target import arithmetic_of

COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]
BESIDES = [name for name in COMPUTED if OPERATIONS[name].decides]
FLOAT32, FLOAT64 = {"dtype": "float32"}, {"dtype": "float64"}
FEWER = {"10 bits for float32": (10, FLOAT32), "23 bits for float64": (23, FLOAT64)}

WHOLE = "its arguments are whole numbers, or records of them; answers in fewer bits are rejected"


def needs(name):
    return OPERATIONS[name].needs


FEW_BITS = "its cases have numbers of few bits, whose ties are exact"
SIGNS = "rounding to fewer bits keeps zeros and signs"
CUTS = "its cases are about the number of cuts; choose_column_groups has those beside a decision"
STATE = "an accumulator is no function; mutants/accumulator.py has one of ten bits"
NOT_ROUNDED = {
    "sign": SIGNS,
    "dead_inputs": SIGNS,
    "exact_signs": FEW_BITS,
    "exact_joint_signs": FEW_BITS,
    "exact_binarization": FEW_BITS,
    "exact_minmax_grid": FEW_BITS,
    "exact_gptq": FEW_BITS,
    "exact_sparsegpt": FEW_BITS,
    "exact_pb_llm": FEW_BITS,
    "first_minimum": FEW_BITS,
    "further_cuts": CUTS,
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
    ("unrank_patterns", "10 bits for float32"): "answers are masks; mutants/counted.py has others",
    ("unrank_patterns", "23 bits for float64"): "answers are masks; mutants/counted.py has others",
}
"""Functions of whole numbers whose answers have fewer bits, with the reason."""
WITHIN_THE_CONDITION = {
    ("stbllm_layer_billm_nm_sparsegpt", "10 bits for float32"): "it begins with the port's own "
    "SparseGPT, which sparsegpt_layer judges; the condition of H bounds everything after it",
}
"""Layers in which fewer bits stay within the bound, with the reason."""
COMPARING = (
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
    "arb_llm_block",
)
"""Operations that compare and sort computed numbers; the others compare with zero, which no
rounding moves, or leave the least of all objectives to the record."""


@cache
def fewer(what, where):
    bits, declared = FEWER[what]
    return coarse_port(bits, where, declared)


def rejected(port, name):
    item, arithmetic = OPERATIONS[name], arithmetic_of(port)
    beside = [NEAR + n for n in range(BESIDE["ci"])] if item.decides else []
    seeds = dict.fromkeys([*beside, *seeds_of(item, "quick"), *seeds_of(item, "ci")])
    return any(item.check(port, arithmetic, seed).status == "failed" for seed in seeds)


@pytest.mark.parametrize("what", FEWER)
@pytest.mark.parametrize("name", some([n for n in COMPUTED if n not in NOT_ROUNDED]))
def test_fewer_bits_are_rejected(name, what):
    found = [rejected(fewer(what, where), name) for where in WHERE[:2]]
    assert all(found) == ((name, what) not in WITHIN_THE_CONDITION), dict(
        zip(WHERE, found, strict=False)
    )


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


@pytest.mark.parametrize("name", some(BESIDES))
def test_a_float32_port_passes_beside_every_decision(name):
    port = coarse_port(23, "throughout", FLOAT32)
    for n in range(BESIDE["ci"]):
        found = OPERATIONS[name].check(port, arithmetic_of(port), NEAR + n)
        assert found.status == "passed", found.message


def test_most_operations_that_decide_have_cases_beside_a_decision():
    """And each that compares has one."""
    found = [
        OPERATIONS[name].check(reference, arithmetic_of(reference), NEAR + n).message
        for name in COMPARING
        for n in range(BESIDE["ci"])
    ]
    assert sum("no decision found" in said for said in found) < len(found) / 5
