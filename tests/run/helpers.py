"""Helpers that the tests of runs share."""

import dataclasses
from pathlib import Path
from typing import Any

from subbit import reference
from subbit.conformance.runs.manifest import Settings
from subbit.conformance.runs.plan import describe_calibration, plan


def make_settings(model, sequences, label="billm:paper", **choices: Any) -> Settings:
    calibration = describe_calibration("random bytes", 1, sequences)
    return plan(model, label, calibration, **choices)


def all_weights(model):
    return {
        (index, linear.name): model.weight(index, linear.name)
        for index in range(model.n_blocks)
        for linear in model.linears(index)
    }


def files_of(folder: Path) -> dict[str, bytes]:
    """All files of a folder except the manifest, which contains run times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def without_times(manifest):
    """A manifest with all seconds set to 0."""
    blocks = tuple(
        dataclasses.replace(
            block,
            seconds=0,
            cpu_seconds=0,
            layers=tuple(
                dataclasses.replace(layer, seconds=0, cpu_seconds=0) for layer in block.layers
            ),
        )
        for block in manifest.blocks
    )
    return dataclasses.replace(manifest, blocks=blocks)


class StoppingPort:
    """The reference, until the call after `calls` of its layer routines."""

    def __init__(self, calls: int, error: BaseException) -> None:
        self.calls, self.error = calls, error

    def _count(self):
        self.calls -= 1
        if self.calls < 0:
            raise self.error

    def billm_layer(self, *arguments):
        self._count()
        return reference.billm_layer(*arguments)

    def pbs2p_layer(self, *arguments):
        self._count()
        return reference.pbs2p_layer(*arguments)

    def wanda_layer(self, *arguments):
        self._count()
        return reference.wanda_layer(*arguments)
