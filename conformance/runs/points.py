"""A point of a comparison
=======================

What one run of a method says about the model: perplexity, bits, time and memory.
"""

import contextlib
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .evaluate import Score, mean_error
from .manifest import LayerResult, Manifest
from .study import Point


def reset_peak() -> None:
    """Reset `peak_bytes`, if the system supports it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the peak resident memory of this process since `reset_peak`, or since its start.

    Returns
    -------
    int
        Bytes; 0 if the system does not report it.
    """
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            return 1024 * int(found[1])
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _mean_bits(bits: Iterable[float], layers: Sequence[LayerResult]) -> float:
    return sum(bits) / sum(layer.weights for layer in layers)


def make_point(manifest: Manifest, part: str, stop: int, measured: Score) -> Point:
    """Build the point of a model whose blocks up to `stop` are quantized.

    Parameters
    ----------
    manifest : Manifest
        Results of the run.
    part : str
        The kind of projection, or ``"all"``.
    stop : int
        The block after the last quantized one.
    measured : Score
        Perplexity and divergence.

    Returns
    -------
    Point
        The point.
    """
    blocks = [block for block in manifest.blocks if block.block < stop]
    layers = [layer for block in blocks for layer in block.layers]
    divergence = measured.divergence
    return Point(
        label=manifest.settings.label,
        part=part,
        start=manifest.settings.blocks[0],
        stop=stop,
        perplexity=measured.perplexity,
        divergence=math.nan if divergence is None else divergence,
        mean_error=mean_error(layer.relative_error for layer in layers),
        nominal=_mean_bits((layer.nominal for layer in layers), layers),
        payload=_mean_bits((layer.payload_bits for layer in layers), layers),
        artifact=_mean_bits((8 * block.file_bytes for block in blocks), layers),
        seconds=sum(block.seconds for block in blocks),
        cpu_seconds=sum(block.cpu_seconds for block in blocks),
        peak_bytes=peak_bytes(),
        underflows=sum(layer.underflows for layer in layers),
    )
