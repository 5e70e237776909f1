"""Flags: known ways to be wrong
=============================

For each wrong port of an operation a case is looked for that rejects it: among the small cases
first, then among all others of the depth ``ci`` whose files are small. What no file can show has
a reason instead, which is found by asking the wrong port as files would ask it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from safetensors.numpy import save

from subbit.conformance.cases.asked import AGAIN
from subbit.conformance.cases.draw import WIDE
from subbit.conformance.cases.registry import LAYERS, Operation
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants import MUTANTS, Mutant
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import read_answer, read_call, write_call
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Arithmetic

from .answered import Answered
from .record import Recorded, key_of_call, record

LARGEST_ADDED = 1 << 18
"""Bytes of arrays of a case that is there for its flags alone, and not one of the small ones."""
_INLINE = 1 << 62


def flag_of(mutant: Mutant) -> str:
    """Return the name of a flag.

    Parameters
    ----------
    mutant : Mutant
        The wrong port.

    Returns
    -------
    str
        Operation and what is wrong, in letters, digits and hyphens.
    """
    wrong = re.sub(r"[^a-z0-9]+", "-", mutant.name.lower()).strip("-")
    return f"{mutant.operation}/{wrong}"


def small_cases(item: Operation) -> Iterator[int]:
    """Iterate over the cases of any port's type that are asked once, the small ones first.

    Parameters
    ----------
    item : Operation
        The operation.

    Yields
    ------
    int
        Seeds.
    """
    # Layers take their time.
    for seed in seeds_of(item, "quick" if item.level == LAYERS else "ci"):
        if seed < WIDE and (seed != AGAIN or not item.level):
            yield seed


class _View:
    """A port that is asked as files ask it, in one respect."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        value = getattr(self._port, name)
        if name not in PROTOCOL:
            return value
        return lambda *places, **names: self._ask(name, value, places, names)

    def _ask(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError


class _ByRows(_View):
    """Arrays come by rows, in one type for each kind of argument, and are the port's own."""

    def _ask(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        given = PROTOCOL[name].signature.bind(*places, **names).arguments.keys()
        codec = Codec(Tensors(_INLINE))
        made = read_call(name, write_call(name, places, names, codec), codec)
        return function(**{key: value for key, value in made.items() if key in given})


class _Complete(_View):
    """All arguments are there."""

    def _ask(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        bound = PROTOCOL[name].signature.bind(*places, **names)
        bound.apply_defaults()
        return function(*bound.args, **bound.kwargs)


class _Filed(_View):
    """Arrays come by rows, and all arguments are there."""

    def _ask(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        codec = Codec(Tensors(_INLINE))
        return function(**read_call(name, write_call(name, places, names, codec), codec))


class _Once(_View):
    """Each call has one answer, which the next call does not change."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self._forms: dict[str, Any] = {}

    def _ask(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        codec, key = Codec(Tensors(_INLINE)), key_of_call(name, places, names)
        if key not in self._forms:
            self._forms[key] = codec.write(function(*places, **names))
        return read_answer(name, self._forms[key], codec)


_VIEWS: Mapping[str, Callable[[Port], Port]] = {
    "files hold arrays by rows, in one type, and what a port does to them is not seen": _ByRows,
    "files hold every argument, also one that a caller would leave out": _Complete,
    "files hold one answer to each call, which no later call changes": _Once,
}
"""Reasons why no file shows a wrong port, each with the port as it is then seen."""
GOES_ON = "the cases go on from the port's own wrong answer, and no file asks about that"
NOT_FOUND = "no case of the depth ci shows it"
TOO_LARGE = f"each case that shows it takes more than {LARGEST_ADDED >> 10} KiB"


def _rejected(item: Operation, port: Port, seeds: Iterable[int]) -> bool:
    return any(item.check(port, Arithmetic(), seed).status == "failed" for seed in seeds)


def reason_of(item: Operation, mutant: Mutant) -> str:
    """Return why no file shows a wrong port.

    Parameters
    ----------
    item : Operation
        The operation.
    mutant : Mutant
        The wrong port, which no case in files rejects.

    Returns
    -------
    str
        The first respect in which files differ from calls and in which alone the wrong port
        passes all cases; otherwise, that none was found.
    """
    seeds = seeds_of(item, "ci")
    for reason, view in _VIEWS.items():
        if not _rejected(item, view(mutant.port), seeds):
            return reason
    return NOT_FOUND


class Rejections:
    """How cases reject the wrong ports of an operation.

    Parameters
    ----------
    item : Operation
        The operation.
    """

    def __init__(self, item: Operation) -> None:
        self._item = item
        self._small = frozenset(small_cases(item))
        self._said: dict[tuple[str, int, bool], str] = {}
        self.recorded: dict[int, Recorded] = {}

    def case(self, seed: int) -> Recorded:
        """Return a recorded case.

        Parameters
        ----------
        seed : int
            The case.

        Returns
        -------
        Recorded
            What was asked, answered and compared.
        """
        if seed not in self.recorded:
            self.recorded[seed] = record(self._item, seed)
        return self.recorded[seed]

    def by(self, mutant: Mutant, seeds: Iterable[int]) -> dict[int, str]:
        """Return the cases that reject a wrong port, and how.

        Parameters
        ----------
        mutant : Mutant
            The wrong port.
        seeds : iterable of int
            The cases to ask.

        Returns
        -------
        dict of int to str
            What is said, by case: of the small ones as they are asked, of the others with the
            answers in files.
        """
        said = {seed: self._of(mutant, seed, filed=seed not in self._small) for seed in seeds}
        return {seed: text for seed, text in said.items() if text}

    def in_files(self, mutant: Mutant, seed: int) -> bool:
        """Tell whether the answers of a wrong port to the calls of a case are rejected.

        Parameters
        ----------
        mutant : Mutant
            The wrong port.
        seed : int
            The case.

        Returns
        -------
        bool
            False also if the case would go on with calls that it does not have.
        """
        return bool(self._of(mutant, seed, filed=True))

    def _of(self, mutant: Mutant, seed: int, *, filed: bool) -> str:
        key = (mutant.name, seed, filed)
        if key not in self._said:
            port: Port = Answered(mutant.port, self.case(seed)) if filed else _Filed(mutant.port)
            outcome = self._item.check(port, Arithmetic(), seed)
            wrong = outcome.status == "failed"
            self._said[key] = outcome.message.partition("): ")[2] if wrong else ""
        return self._said[key]

    def is_small(self, seed: int) -> bool:
        """Tell whether the arrays of a case are small enough to add it.

        Parameters
        ----------
        seed : int
            The case.

        Returns
        -------
        bool
            True up to :data:`LARGEST_ADDED`.
        """
        case = self.case(seed)
        sizes = (len(save(one.outside)) for one in (case.inputs, case.expected))
        return sum(sizes) <= LARGEST_ADDED


def with_flags(
    item: Operation, seeds: list[int], rejections: Rejections
) -> tuple[list[int], dict[str, str]]:
    """Return cases with one more for each wrong port that none of them rejects.

    Parameters
    ----------
    item : Operation
        The operation.
    seeds : list of int
        The cases that are there anyway.
    rejections : Rejections
        Of the operation.

    Returns
    -------
    chosen : list of int
        The cases.
    reasons : dict of str to str
        By flag, why no answer in files shows it.
    """
    mutants, chosen = MUTANTS.get(item.name, ()), list(seeds)
    for mutant in mutants:
        if not rejections.by(mutant, chosen):
            others = (seed for seed in small_cases(item) if seed not in chosen)
            chosen += islice((s for s in others if rejections.by(mutant, [s])), 1)
    # Afterwards, so that what is added changes none of the choices above.
    reasons = {}
    for mutant in mutants:
        added, reason = _added(item, mutant, chosen, rejections)
        chosen += added
        if reason:
            reasons[flag_of(mutant)] = reason
    return sorted(set(chosen)), reasons


def _added(
    item: Operation, mutant: Mutant, chosen: list[int], rejections: Rejections
) -> tuple[list[int], str]:
    """Return a case that shows a wrong port in files, if one is needed, or why there is none."""
    rejecting = rejections.by(mutant, chosen)
    if any(rejections.in_files(mutant, seed) for seed in rejecting):
        return [], ""
    showing = 0
    for seed in seeds_of(item, "ci"):
        if seed not in chosen and rejections.in_files(mutant, seed):
            if rejections.is_small(seed):
                return [seed], ""
            showing += 1
    if showing:
        return [], TOO_LARGE
    return [], GOES_ON if rejecting else reason_of(item, mutant)
