"""Wrong ports
===========

For each operation that computes something, at least four ports that are the reference with
one function replaced. The operation's cases have to reject every one of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from subbit.conformance.mutants import (
    accumulator,
    assign,
    bare,
    baselines,
    budgets,
    calls,
    cfs,
    column_groups,
    counted,
    hbllm,
    layers,
    patterns,
    pbs2p,
    propagation,
    refine,
    refine_loops,
    removal,
    settings,
    sign_product,
    single,
    sizes,
    sparsity,
    spbo,
    stbllm,
    tied,
    trisection,
    typed_groups,
)
from subbit.conformance.mutants.changes import Mutant


def _by_operation() -> dict[str, tuple[Mutant, ...]]:
    found: dict[str, tuple[Mutant, ...]] = {}
    for mutant in (
        *accumulator.mutants(),
        *bare.mutants(),
        *single.mutants(),
        *refine.mutants(),
        *refine_loops.mutants(),
        *layers.mutants(),
        *baselines.mutants(),
        *tied.mutants(),
        *column_groups.mutants(),
        *spbo.mutants(),
        *stbllm.mutants(),
        *cfs.mutants(),
        *pbs2p.mutants(),
        *propagation.mutants(),
        *sparsity.mutants(),
        *trisection.mutants(),
        *patterns.mutants(),
        *budgets.mutants(),
        *removal.mutants(),
        *typed_groups.mutants(),
        *sign_product.mutants(),
        *assign.mutants(),
        *hbllm.mutants(),
        *counted.mutants(),
        *calls.mutants(),
        *sizes.mutants(),
        *settings.mutants(),
    ):
        found[mutant.operation] = (*found.get(mutant.operation, ()), mutant)
    return found


MUTANTS: Mapping[str, tuple[Mutant, ...]] = MappingProxyType(_by_operation())
"""Mutants by operation."""

__all__ = ["MUTANTS", "Mutant"]
