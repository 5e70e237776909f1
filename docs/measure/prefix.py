"""What the scripts that measure perplexities share: a model whose first blocks are quantized."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from subbit import reference as ref
from subbit.conformance.command.cli_curve import DEMO
from subbit.conformance.command.cli_run import cut_windows, draw_calibration
from subbit.conformance.models.base import Float32
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.calibrate import advance, block_hessians, embed
from subbit.conformance.runs.evaluate import finish, score
from subbit.conformance.runs.layer_jobs import LayerAnswer, LayerJob, do_job
from subbit.reference.notation import Array


class Prefix:
    """The embedded model at the settings of ``make demo``, quantized by any configuration.

    Parameters
    ----------
    blocks : int
        How many decoder blocks may be quantized.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.model = load_model(DEMO.model)
        self.sequences, self.calibration = draw_calibration(self.model, DEMO.calibration)
        self.windows, self.evaluation = cut_windows(
            self.model, DEMO.text, DEMO.window, DEMO.windows
        )
        self.weights = {
            (index, x.name): self.model.weight(index, x.name)
            for index in range(blocks)
            for x in self.model.linears(index)
        }
        self.hidden, self.read = self._start()
        # The first block reads the same whatever quantizes it.
        self.first = self.hessians(0)

    def _start(self) -> tuple[Float32, Float32]:
        return embed(self.model, self.sequences), embed(self.model, self.windows)

    def restart(self) -> None:
        """Put the weights at full precision back, and all texts before the first block."""
        for (index, name), weight in self.weights.items():
            self.model.set_weight(index, name, weight)
        self.hidden, self.read = self._start()

    def settings(self) -> dict[str, Any]:
        """Say what is measured on."""
        return {
            "model": self.model.name,
            "precision": self.model.precision,
            "calibration": asdict(self.calibration),
            "evaluation": asdict(self.evaluation),
            "blocks": self.blocks,
            "scales": DEMO.scales,
        }

    def hessians(self, index: int) -> dict[str, Array]:
        """Return the Hessians of a block that has not been quantized yet."""
        inputs = {x.input_name for x in self.model.linears(index)}
        return block_hessians(self.model, index, self.hidden, inputs)

    def answer(self, index: int, name: str, H: Array, method: str, config: object) -> LayerAnswer:
        """Quantize one linear, and leave the model as it is."""
        linear = next(x for x in self.model.linears(index) if x.name == name)
        W, entry = self.weights[index, name], ref.METHODS[method].entry
        return do_job(ref, LayerJob(index, linear, DEMO.target, entry, config, DEMO.scales, W, H))

    def quantize(
        self, index: int, method: str, config: object, own: Mapping[str, Array] | None = None
    ) -> list[LayerAnswer]:
        """Quantize the linears of a block; some may have a Hessian of their own."""
        hessians = self.hessians(index) if index else self.first
        answers = []
        for x in self.model.linears(index):
            H = (own or {}).get(x.name, hessians[x.input_name])
            answers.append(self.answer(index, x.name, H, method, config))
            self.model.set_weight(index, x.name, answers[-1].decode())
        return answers

    def go_on(self, index: int) -> None:
        """Send the texts through a block that has its final weights, while they are needed."""
        if index + 1 < self.blocks:
            advance(self.model, index, self.hidden)
        advance(self.model, index, self.read)

    def perplexity(self, index: int) -> float:
        """Read the windows from a block on, and score the model."""
        hidden = finish(self.model, index, self.read.copy())
        return score(self.model, hidden, self.windows).perplexity
