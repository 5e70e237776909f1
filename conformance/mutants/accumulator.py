"""Mutants of the accumulator
==========================

What it keeps from one call to the next is what can be wrong about it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, single
from subbit.conformance.mutants.precision import rounded
from subbit.reference.notation import AnyArray

Right = reference.HessianAccumulator


class _Halved(Right):
    def hessian(self) -> AnyArray:
        return super().hessian() / 2


class _Single(Right):
    def hessian(self) -> AnyArray:
        return np.asarray(single(super().hessian()))


class _TenBits(Right):
    def add(self, X: Any) -> None:  # noqa: ANN401
        super().add(rounded(np.asarray(X), 10))


class _FirstOnly(Right):
    def add(self, X: Any) -> None:  # noqa: ANN401
        super().add(X[:1] if np.ndim(X) > np.ndim(self._sum) else X)


class _PerToken(Right):
    def add(self, X: Any) -> None:  # noqa: ANN401
        super().add(np.reshape(X, (-1, 1, np.shape(X)[-1])))


class _FirstLength(Right):
    """Take as many tokens of each sequence as the first had."""

    length: int | None = None

    def add(self, X: Any) -> None:  # noqa: ANN401
        self.length = self.length or np.shape(X)[-2]
        super().add(np.asarray(X)[..., : self.length, :])


class _InPlace(Right):
    """Scale the sum where it lies, so that it is scaled again."""

    def hessian(self) -> AnyArray:
        found = super().hessian()
        self._sum[...] = found
        return found


class _View(Right):
    """Answer in the memory of the sum while that is the answer, as it is for two sequences."""

    def hessian(self) -> AnyArray:
        return self._sum if self.count == 2 else super().hessian()


class _Workspace(Right):
    """Answer in one array, again and again."""

    def hessian(self) -> AnyArray:
        if not hasattr(self, "_answer"):
            self._answer = np.empty_like(self._sum)
        self._answer[...] = super().hessian()
        return self._answer


class _Emptied(Right):
    """Start again after an answer."""

    def hessian(self) -> AnyArray:
        found = super().hessian()
        self._sum[...] = 0.0
        return found


class _Remembered(Right):
    """Keep the first answer."""

    def hessian(self) -> AnyArray:
        if not hasattr(self, "_answer"):
            self._answer = super().hessian()
        return self._answer.copy()


class _Late(Right):
    """Look at the batches only when asked."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._batches: list[Any] = []

    def add(self, X: Any) -> None:  # noqa: ANN401
        if not np.isfinite(X).all():
            message = "X: expected finite numbers"
            raise ValueError(message)
        self._batches.append(X)

    @property
    def count(self) -> int:
        return sum(len(X) if np.ndim(X) > np.ndim(self._sum) else 1 for X in self._batches)

    def hessian(self) -> AnyArray:
        whole = Right(len(self._sum))
        for X in self._batches:
            whole.add(X)
        return whole.hessian()


def _shared() -> type[Right]:
    """Return accumulators that all add to one sum."""
    sums: dict[int, AnyArray] = {}

    class Shared(Right):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self._sum = sums.setdefault(width, self._sum)

    return Shared


class _Counting(Right):
    """Count a batch before it is refused."""

    def add(self, X: Any) -> None:  # noqa: ANN401
        self._count += 1
        try:
            super().add(X)
        finally:
            self._count -= int(np.isfinite(X).all())


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of the accumulator.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    wrong: dict[str, Function] = {
        "half": _Halved,
        "float32": _Single,
        "ten bits": _TenBits,
        "first sequence of a batch": _FirstOnly,
        "counts tokens": _PerToken,
        "as long as the first sequence": _FirstLength,
        "scaled in place": _InPlace,
        "the sum itself": _View,
        "answers in one workspace": _Workspace,
        "emptied by an answer": _Emptied,
        "the first answer again": _Remembered,
        "batches kept, not added": _Late,
        "one sum for all": _shared(),
        "counts what it refuses": _Counting,
    }
    for name, kind in wrong.items():
        yield Mutant("hessian_in_batches", name, {"HessianAccumulator": kind})
