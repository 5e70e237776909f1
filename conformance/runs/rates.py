"""Payload bits that go from one linear to the next
================================================

A method that keeps to given payload bits spends a little less: codes of whole groups of columns
can't use up what is left. With the budget ``carried`` what a linear leaves goes to those after it.
Value projections get one bit more than the others, which get a little less for it, since they are
few: a decoder block keeps to the same bits.

========== ================================================================
symbol     meaning
========== ================================================================
``b``      payload bits per weight that the preset allows
``e_k``    bits per weight that a linear of kind k gets beside the others
``s``      weights of a linear; S those of a decoder block
``U``      bits that earlier linears have left
``b_t``    payload bits per weight of a linear at its turn
========== ================================================================

Linears of a stage are quantized at the same time, so they share what earlier stages have left,
whatever the number of workers: ``b_t = b − Σ_k e_k s_k / S + e_k + U / Σ_stage s``.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from subbit.conformance.models.base import Linear

from .manifest import LayerResult, Manifest

EXTRA: Mapping[str, float] = MappingProxyType({"v": 1.0})
"""Bits per weight that linears of a kind get beside the others."""
MOST = 64.0
"""The most that a preset's `payload` may be; whatever has not been spent by then stays unspent."""


def _weights(linears: Iterable[Linear]) -> int:
    return sum(n * m for n, m in (linear.shape for linear in linears))


def nominal_rate(payload: float, linear: Linear, block: Sequence[Linear]) -> float:
    """Return what a linear may have if nothing is left over.

    Parameters
    ----------
    payload : float
        Payload bits per weight of the preset.
    linear : Linear
        The linear.
    block : sequence of Linear
        All linears of its decoder block that are quantized.

    Returns
    -------
    float
        Payload bits per weight; the mean over the weights of `block` is `payload`.

    Examples
    --------
    >>> v, o = (Linear(x, x, x, (2, 4)) for x in "vo")
    >>> nominal_rate(2.0, v, [v, o]), nominal_rate(2.0, o, [v, o])
    (2.5, 1.5)
    """
    extra = sum(EXTRA.get(x.kind, 0.0) * _weights([x]) for x in block) / _weights(block)
    return payload - extra + EXTRA.get(linear.kind, 0.0)


def stage_rates(
    payload: float, stage: Sequence[Linear], block: Sequence[Linear], left: float
) -> dict[str, float]:
    """Return what the linears of a stage may have.

    Parameters
    ----------
    payload : float
        Payload bits per weight of the preset.
    stage : sequence of Linear
        Linears that are quantized at the same time.
    block : sequence of Linear
        All linears of the decoder block that are quantized.
    left : float
        Bits that earlier linears have left.

    Returns
    -------
    dict of str to float
        Payload bits per weight, by `Linear.name`.

    Examples
    --------
    >>> q = Linear("q", "q", "q", (2, 4))
    >>> stage_rates(2.0, [q], [q], 4.0)
    {'q': 2.5}
    """
    share = left / _weights(stage)
    return {x.name: min(nominal_rate(payload, x, block) + share, MOST) for x in stage}


def bits_left(
    payload: float, done: Iterable[LayerResult], linears: Sequence[Linear], block: Sequence[Linear]
) -> float:
    """Return what linears of a decoder block have left.

    Parameters
    ----------
    payload : float
        Payload bits per weight of the preset.
    done : iterable of LayerResult
        What was made of them.
    linears : sequence of Linear
        The linears.
    block : sequence of Linear
        All linears of the decoder block that are quantized.

    Returns
    -------
    float
        Bits; negative if they have more than they may.
    """
    allowed = sum(nominal_rate(payload, x, block) * _weights([x]) for x in linears)
    return allowed - sum(result.payload_bits for result in done)


def bits_left_before(payload: float, manifest: Manifest, index: int) -> float:
    """Return what earlier decoder blocks of a run have left.

    Parameters
    ----------
    payload : float
        Payload bits per weight of the preset.
    manifest : Manifest
        Results of the run.
    index : int
        The decoder block.

    Returns
    -------
    float
        Bits.
    """
    before = [x for block in manifest.blocks if block.block < index for x in block.layers]
    return sum(payload * x.weights - x.payload_bits for x in before)
