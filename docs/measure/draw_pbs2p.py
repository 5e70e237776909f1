"""The figures of docs/pbs2p.md that no other chapter has, from what was measured."""

from collections.abc import Mapping
from typing import Any

from matplotlib import pyplot as plt

from subbit.conformance.command.cli_study import draw_claim
from subbit.conformance.studies.claims import Outcome


def draw_steps(layers: Mapping[str, Any]) -> plt.Figure:
    """Error of one group against the step, for what may change between the steps."""
    figure, every = plt.subplots(1, len(layers), figsize=(3.2 * len(layers), 3.4), squeeze=False)
    for axes, (name, ways) in zip(every[0], layers.items(), strict=True):
        for way, found in ways.items():
            (line,) = axes.plot(found["steps"], marker=".", label=way)
            shot, color = found["one step"], line.get_color()
            steps = range(1, 1 + len(shot))
            axes.plot(steps, shot, marker="x", linestyle="", color=color, markersize=5)
        axes.set(xlabel="step", title=name)
    every[0, 0].set_ylabel("relative calibrated error")
    every[0, 0].legend(fontsize="small")
    return figure


def draw_outcomes(claim: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Error against the density, from the errors of each block, setting and objective."""
    outcomes = []
    for key, errors in claim.items():
        case, _, rest = key.partition(", ")
        setting, _, objective = rest.rpartition(", ")
        numbers = tuple(map(float, errors.split()))
        outcomes.append(Outcome(case, setting, objective, numbers))
    return draw_claim(outcomes)
