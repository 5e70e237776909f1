"""Mutants that ignore a setting
=============================

For each setting of each method a port that takes the default instead of what is asked for.
"""

from collections.abc import Callable, Iterator
from typing import Any

from subbit.conformance.cases.settings import METHODS
from subbit.conformance.mutants.changes import Mutant, given
from subbit.reference.contracts.settings import Switches, domains, later_settings
from subbit.reference.errors import ArgumentError

WITHOUT_EFFECT = {
    # Below what rounding may change.
    ("arb_llm", "mean_denominator"),
    ("pbs2p", "mean_denominator"),
    # Only where an entry lies at a threshold, or on its mean; `choose_split`, `row_split` and
    # others see it.
    ("billm", "closed"),
    ("pbs2p", "closed"),
    ("pb_llm", "sign_zero"),
    ("hbllm", "sign_zero"),
    # Signs of the first order are the best ones already (theorem R3).
    ("arb_llm", "column_signs"),
    # Only where a second cut does not beat the first; `further_cuts` sees it.
    ("pbs2p", "minimum"),
    ("pbs2p", "taken_error"),
    ("arb_llm", "minimum"),
    ("arb_llm", "taken_error"),
    # Scores of a row are moved and scaled together; `standardized_importance` sees it.
    ("stbllm", "axis"),
    # Its layers have all ranks; `sign_product_layer` sees it.
    ("sign_product", "rank_step"),
}
"""Settings that leave layers of the design as they are, and why."""
TOGETHER = {"keep", "sparsity"}


def ignored(kind: type[Switches], name: str) -> Callable[[Any], Any]:
    """Return the change of a configuration that forgets a setting.

    Parameters
    ----------
    kind : type
        Class of the configuration.
    name : str
        The setting.

    Returns
    -------
    callable
        Change of the configuration.
    """
    default = kind().switches()
    names = TOGETHER if name in TOGETHER and set(default) >= TOGETHER else {name}

    def change(config: Switches) -> Switches:
        try:
            return config.changed(**{n: default[n] for n in names})
        except ArgumentError:
            # The default does not go with the others.
            return config

    return change


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that ignore a setting.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for method, kind in METHODS.items():
        entry = f"{method}_layer"
        for name in domains(kind):
            if (method, name) not in WITHOUT_EFFECT and name not in later_settings(kind):
                change = ignored(kind, name)
                functions = {entry: given(entry, "config", change)}
                yield Mutant(f"{entry}_settings", f"{name} ignored", functions)
