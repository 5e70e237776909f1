"""Wrong ports
===========

For each operation that computes something at least four ports that are the reference with
one function replaced. The cases of the operation have to reject every one of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from subbit.conformance.mutants import column_groups, layers, refine, refine_loops, single
from subbit.conformance.mutants.changes import Mutant


def _by_operation() -> dict[str, tuple[Mutant, ...]]:
    found: dict[str, tuple[Mutant, ...]] = {}
    for mutant in (
        *single.mutants(),
        *refine.mutants(),
        *refine_loops.mutants(),
        *layers.mutants(),
        *column_groups.mutants(),
    ):
        found[mutant.operation] = (*found.get(mutant.operation, ()), mutant)
    return found


MUTANTS: Mapping[str, tuple[Mutant, ...]] = MappingProxyType(_by_operation())
"""Mutants by operation."""

__all__ = ["MUTANTS", "Mutant"]
