"""Two streams through a model
===========================

With error propagation each linear is quantized for the inputs that it will have: those of the
model quantized so far, its own block included. Beside them goes the stream of the model at full
precision, which says what the outputs should be. In a block, linears with one input are a
stage, such as q, k, v, then o, then gate and up, then down; each stage is quantized before the
statistics of the next are gathered.

========= ============ =====================================================
symbol    shape        meaning
========= ============ =====================================================
``X, Y``  (b, L, m)    a stage's input at full precision, and as quantized so far
``E``     (b, L, d)    what separates the residual streams that a linear's output is added to
``H``     (m, m)       ``2/N Σ_s Y_sᵀ Y_s``
``C``     (m, m)       ``2/N Σ_s (X_s − Y_s)ᵀ Y_s``
``R``     (d, m)       ``2/N Σ_s E_sᵀ Y_s``
========= ============ =====================================================

A few sequences at a time go through the block up to the stage, once with its weights at full
precision and once with those of now; only hidden states of whole streams are kept.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from subbit.conformance.memory import check_memory
from subbit.conformance.models.base import DecoderModel, Float32, Linear
from subbit.reference.errors import ArgumentError
from subbit.reference.notation import AnyArray, Array

from .calibrate import advance, batches, block_hessians, check_finite, warn_unreached
from .correction import Correction
from .layer_jobs import Deviations, narrowed

WRITERS = ("o", "down", "fc2")
"""Kinds of linears whose outputs a block adds to its residual stream."""
ADDED_SHARE = 1e-4
"""Largest difference between a block's step and what its writers add, relative to the step."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Linears that are quantized together.

    Parameters
    ----------
    linears : sequence of Linear
        The linears.
    hessians : dict of str to ndarray of float64, shape (m, m)
        Undamped, by `Linear.input_name`.
    deviations : dict of str to Deviations
        What is corrected, by `Linear.name`; none for a linear that is left out.
    note : str
        What has been done for them.
    """

    linears: Sequence[Linear]
    hessians: Mapping[str, Array]
    deviations: Mapping[str, Deviations]
    note: str


@dataclass(frozen=True)
class OneStream:
    """Without error propagation: a block is calibrated at once, at full precision.

    Parameters
    ----------
    model : DecoderModel
        The model.
    """

    model: DecoderModel

    def begin(self, index: int, linears: Sequence[Linear], hidden: Float32) -> None:
        """Do nothing; see `Streams.begin`.

        Parameters
        ----------
        index, linears, hidden
            As there.
        """

    def leave(self, index: int) -> None:
        """Do nothing; see `Streams.leave`.

        Parameters
        ----------
        index
            As there.
        """

    def gather(self, index: int, linears: Sequence[Linear], hidden: Float32) -> Iterator[Stage]:
        """Calibrate a block; see `Streams.gather`.

        Parameters
        ----------
        index, linears, hidden
            As there.

        Yields
        ------
        Stage
            The whole block.
        """
        names = {linear.input_name for linear in linears}
        yield Stage(linears, block_hessians(self.model, index, hidden, names), {}, "calibrated")


class _ReachedError(Exception):
    """Ends a pass that is needed only up to an input."""


def stages(linears: Sequence[Linear]) -> list[list[Linear]]:
    """Group linears by their inputs, in the order in which these are computed.

    Parameters
    ----------
    linears : sequence of Linear
        Linears of a block.

    Returns
    -------
    list of list of Linear
        Those of each input.

    Examples
    --------
    >>> q, o, k = (Linear(x, x, i, (1, 1)) for x, i in (("q", "a"), ("o", "b"), ("k", "a")))
    >>> [[linear.name for linear in stage] for stage in stages([q, k, o])]
    [['q', 'k'], ['o']]
    """
    found: dict[str, list[Linear]] = {}
    for linear in linears:
        found.setdefault(linear.input_name, []).append(linear)
    return list(found.values())


def run_up_to(
    model: DecoderModel, index: int, hidden: Float32, names: Collection[str]
) -> dict[str, Float32]:
    """Run a decoder block until some inputs are there.

    Parameters
    ----------
    model : DecoderModel
        The model.
    index : int
        The block.
    hidden : ndarray of float32, shape (b, L, d)
        Its input.
    names : collection of str
        Names of inputs, `Linear.input_name`.

    Returns
    -------
    dict of str to ndarray of float32, shape (b, L, m)
        The inputs.

    Raises
    ------
    ArgumentError
        If one of them is not an input of all tokens.
    """
    found: dict[str, Float32] = {}

    def capture(name: str, activations: Float32) -> None:
        if name in names:
            found[name] = np.array(activations, dtype=np.float32)
            if len(found) == len(names):
                raise _ReachedError

    with suppress(_ReachedError):
        model.run_block(index, hidden, capture)
    for name in names:
        if name not in found or found[name].shape[:2] != hidden.shape[:2]:
            expected = "a model in which every token reaches every linear, without experts"
            raise ArgumentError("propagate", expected, f"{name} of decoder block {index}")
    return found


@dataclass
class Streams:
    """The stream at full precision, beside the one that a run quantizes for.

    Parameters
    ----------
    model : DecoderModel
        The model.
    correction : Correction
        The setting.
    """

    model: DecoderModel
    correction: Correction
    _full: Float32 | None = field(default=None, init=False)
    _originals: dict[str, AnyArray] = field(default_factory=dict, init=False)

    def begin(self, index: int, linears: Sequence[Linear], hidden: Float32) -> None:
        """Look at a decoder block before its weights change.

        Parameters
        ----------
        index : int
            The block.
        linears : sequence of Linear
            Its linears that will be quantized.
        hidden : ndarray of float32, shape (N, L, d)
            Input of the block in the stream that is quantized for.
        """
        if self._full is None:
            # Until now the two streams are one.
            check_memory("propagate", hidden.nbytes, "the hidden states at full precision")
            self._full = hidden.copy()
        weight = self.model.weight
        self._originals = {x.name: narrowed(weight(index, x.name)) for x in linears}

    def leave(self, index: int) -> None:
        """Run a decoder block at full precision on the stream at full precision.

        Parameters
        ----------
        index : int
            The block.
        """
        if self._full is not None:
            with self._as_it_was(index, self._originals):
                advance(self.model, index, self._full)
        self._originals = {}

    def gather(self, index: int, linears: Sequence[Linear], hidden: Float32) -> Iterator[Stage]:
        """Gather the statistics of a decoder block, stage by stage.

        Parameters
        ----------
        index : int
            The block.
        linears : sequence of Linear
            Its linears that will be quantized.
        hidden : ndarray of float32, shape (N, L, d)
            Input of the block in the stream that is quantized for.

        Yields
        ------
        Stage
            Linears with one input; they have their new weights before the next are asked for.
        """
        if self.correction.beta:
            self._check_stream(index)
        changed: list[str] = []
        for together in stages(linears):
            name = together[0].input_name
            H, C, R = self._sums(index, together, hidden, changed)
            configs = {x.name: self.correction.config(x.kind) for x in together}
            deviations = {x: Deviations(c, C, R.get(x)) for x, c in configs.items() if c}
            yield Stage(together, {name: H}, deviations, f"calibrated for {together[0].name}")
            changed += configs

    def _sums(
        self, index: int, stage: Sequence[Linear], hidden: Float32, changed: Sequence[str]
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Return H, C, and R of those linears that add to the residual stream."""
        name, width = stage[0].input_name, stage[0].shape[1]
        H, C = np.zeros((width, width)), np.zeros((width, width))
        R = {x.name: np.zeros(x.shape) for x in stage if self._adds(index, x)}
        before = self._earlier_writers(index, stage) if R else []
        names = {name, *(linear.input_name for linear in before)}
        full = self._stream()
        for batch in batches(hidden.shape):
            with self._as_it_was(index, changed):
                X = run_up_to(self.model, index, full[batch], names)
            Y = run_up_to(self.model, index, hidden[batch], names)
            for x, y in zip(X[name], Y[name], strict=True):
                H += y.T @ y
                C += (x - y).T @ y
            if R:
                E = full[batch] - hidden[batch] + self._apart(index, before, X, Y)
                for linear in R:
                    R[linear] += sum(e.T @ y for e, y in zip(E, Y[name], strict=True))
        for total in (H, C, *R.values()):
            check_finite(f"model: {name} of decoder block {index} holds", total)
            np.multiply(total, 2.0 / len(hidden), out=total)
        if not H.any():
            warn_unreached(index, name)
            H = np.eye(width)
        return H, C, R

    def _stream(self) -> Float32:
        if self._full is None:
            message = "begin comes before gather"
            raise RuntimeError(message)
        return self._full

    def _adds(self, index: int, linear: Linear) -> bool:
        """Tell whether the deviation of the residual stream counts for a linear."""
        config = self.correction.config(linear.kind)
        return bool(config and config.beta) and linear in self._writers(index)

    def _writers(self, index: int) -> list[Linear]:
        return [linear for linear in self.model.linears(index) if linear.kind in WRITERS]

    def _earlier_writers(self, index: int, stage: Sequence[Linear]) -> list[Linear]:
        writers = self._writers(index)
        return writers[: min(writers.index(x) for x in stage if x in writers)]

    def _apart(
        self,
        index: int,
        writers: Sequence[Linear],
        X: Mapping[str, Float32],
        Y: Mapping[str, Float32],
    ) -> Float32 | float:
        """Return what separates the outputs of linears in the two streams; biases cancel."""
        total: Float32 | float = 0.0
        for linear in writers:
            now = self.model.weight(index, linear.name).astype(np.float32)
            was = self._originals.get(linear.name, now).astype(np.float32)
            total = total + X[linear.input_name] @ was.T - Y[linear.input_name] @ now.T
        return total

    def _check_stream(self, index: int) -> None:
        """Refuse a block whose residual stream is not input plus the outputs of its writers."""
        writers, hidden = self._writers(index), self._stream()[:1]
        found = run_up_to(self.model, index, hidden, {x.input_name for x in writers})
        left = np.asarray(self.model.run_block(index, hidden) - hidden)
        most = np.abs(left).max()
        for linear in writers:
            left = left - found[linear.input_name] @ self.model.weight(index, linear.name).T
        # Biases are the same for all tokens.
        apart = np.abs(left - left.mean(axis=(0, 1))).max()
        if not apart <= ADDED_SHARE * most:
            names = " and ".join(linear.name for linear in writers) or "no linear"
            expected = "a block that adds the outputs of its linears o and down to its input"
            came = f"one that adds something else than those of {names}; beta=0 asks for none"
            raise ArgumentError("propagate", expected, came)

    @contextmanager
    def _as_it_was(self, index: int, names: Collection[str]) -> Iterator[None]:
        """Put the weights at full precision back for a while."""
        now = {name: narrowed(self.model.weight(index, name)) for name in names}
        try:
            for name in names:
                self.model.set_weight(index, name, self._originals[name])
            yield
        finally:
            for name, weight in now.items():
                self.model.set_weight(index, name, weight)
