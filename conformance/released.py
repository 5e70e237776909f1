"""Agreement with the authors' released code
=========================================

A folder of ``.npz`` files holds inputs and the outputs of the authors' code for them.
Every output array is compared with a port's result for the same inputs, by a rule that its
name decides:

============================== ============================ ==========================
array                          what the port computes       rule
============================== ============================ ==========================
``residual_order<o>``          ``residual_binarize``        1e-12 of max|W|
``H``                          ``accumulate_hessian``       1e-12 of max|H|
``billm.<metric>``             released presets             1e-9 of max|W|
``billm.….no_compensation``    the same, without feedback   1e-9 of max|W|
``stbllm_binarizer.<metric>``  released presets, N = M      1e-9 of max|W|
``….no_compensation``          the same, without feedback   1e-9 of max|W|
``arb[_x|_rc]_order<o>``       ``arb``, ``arb_x``, …        1e-12 of max|W|
``arb[-x|-rc].<cgb>.<metric>`` released presets             1e-9 of max|W|, ``arb`` 1e-8
``gptq.<b>bit…``               groups, activation order     1e-9 of max|W|
``sparsegpt.50``               half of a block pruned       1e-9 of max|W|
``sparsegpt.prune<p>of<M>``    N:M sparsity, M - p kept     1e-9 of max|W|
============================== ============================ ==========================

Arrays of methods that a port lacks are *not implemented*: neither agreement nor failure.

The limit of ``arb`` is wider for a reason. Its eps of 1e-8 keeps the second scale of a row
that has one or two entries in a group at about 1e-8 of the first instead of zero; the
second signs of such a row are ties, and rounding decides them.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Computation: TypeAlias = Callable[[Port, Arrays], npt.NDArray[np.float64]]

INPUTS = frozenset({"W", "X", "mask", "S"})
_PRESET_OF_METRIC = {"hessian": "released", "magnitude": "released-magnitude"}


class _MissingError(Exception):
    """A port lacks a function that a comparison needs."""


@dataclass(frozen=True)
class Rule:
    """How one array is computed and compared.

    Parameters
    ----------
    compute : callable
        Maps a port and the file's arrays to the port's result.
    limit : float
        Largest deviation allowed, relative to the scale.
    inputs : tuple of str
        Arrays of the file that it uses.
    scale : str, default "W"
        Name of the array whose largest magnitude deviations are relative to.
    """

    compute: Computation
    limit: float
    inputs: tuple[str, ...] = ("W", "X")
    scale: str = "W"

    def __str__(self) -> str:
        return f"{self.limit:g} of max|{self.scale}|"


@dataclass(frozen=True)
class Comparison:
    """The outcome for one array.

    Parameters
    ----------
    file, array : str
        Names of the file and the array.
    deviation : float or None
        Largest deviation, relative to the rule's scale.
    rule : str or None
        The rule applied.
    passed : bool or None
        None if nothing was compared.
    status : str
        ``"conforms"``, ``"diverges"``, ``"not implemented"``, or the error.
    """

    file: str
    array: str
    deviation: float | None
    rule: str | None
    passed: bool | None
    status: str

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values.

        Returns
        -------
        dict
            One entry per field; a deviation that is not finite as text.
        """
        values = asdict(self)
        if self.deviation is not None and not np.isfinite(self.deviation):
            values["deviation"] = str(self.deviation)
        return values


def _need(port: Port, *names: str) -> list[Any]:
    missing = [name for name in names if not hasattr(port, name)]
    if missing:
        raise _MissingError(", ".join(missing))
    return [getattr(port, name) for name in names]


def _weights(arrays: Arrays) -> npt.NDArray[np.float64]:
    return arrays["W"].astype(np.float64)


def _hessian(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
    (accumulate,) = _need(port, "accumulate_hessian")
    return np.asarray(accumulate(arrays["X"].astype(np.float64)))


def _residual(order: int) -> Computation:
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        (binarize,) = _need(port, "residual_binarize")
        group = binarize(_weights(arrays), arrays["mask"], order=order, center=True, sign_zero=0)
        return np.asarray(group.decode())

    return compute


def _billm(metric: str, *, compensated: bool) -> Computation:
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        methods, layer = _need(port, "METHODS", "billm_layer")
        config = methods["billm"].presets[_PRESET_OF_METRIC[metric]]
        if not compensated:
            config = config.changed(compensation="none")
        return np.asarray(layer(_weights(arrays), _hessian(port, arrays), config).decode())

    return compute


def _stbllm_binarizer(metric: str, *, compensated: bool) -> Computation:
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        methods, layer = _need(port, "METHODS", "stbllm_layer")
        config = methods["stbllm"].presets[_PRESET_OF_METRIC[metric]].changed(keep=(8, 8))
        if not compensated:
            config = config.changed(compensation="none")
        return np.asarray(layer(_weights(arrays), _hessian(port, arrays), config).decode())

    return compute


def _refined(algorithm: str, order: int) -> Computation:
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        methods, binarize = _need(port, "METHODS", algorithm)
        config = methods[algorithm.replace("_", "-")].presets["released"].refinement
        gram = (arrays["S"].astype(np.float64),) if algorithm == "arb_x" else ()
        group = binarize(_weights(arrays), arrays["mask"], *gram, order=order, config=config)
        return np.asarray(group.decode())

    return compute


def _arb_llm(method: str, *, groups: bool, metric: str) -> Computation:
    preset = _PRESET_OF_METRIC[metric] + ("" if groups else "-nocgb")

    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        methods, layer = _need(port, "METHODS", "arb_llm_layer")
        config = methods[method].presets[preset]
        return np.asarray(layer(_weights(arrays), _hessian(port, arrays), config).decode())

    return compute


def _gptq(bits: int, group_size: int | None, *, activation_order: bool) -> Computation:
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        configuration, layer = _need(port, "GPTQ", "gptq_layer")
        config = configuration(
            bits=bits,
            group_size=group_size,
            activation_order=activation_order,
            dead_grid="given",
        )
        return np.asarray(layer(_weights(arrays), _hessian(port, arrays), config).decode())

    return compute


def _gptq_rule(match: re.Match[str]) -> Rule:
    group = None if match[2] is None else int(match[2])
    return Rule(_gptq(int(match[1]), group, activation_order=match[3] is not None), 1e-9)


_ENTRIES = {"SparseGPT": "sparsegpt_layer", "Wanda": "wanda_layer", "PBLLM": "pb_llm_layer"}


def _layer(kind: str, **settings: Any) -> Computation:  # noqa: ANN401
    def compute(port: Port, arrays: Arrays) -> npt.NDArray[np.float64]:
        configuration, layer = _need(port, kind, _ENTRIES[kind])
        config = configuration(**settings)
        return np.asarray(layer(_weights(arrays), _hessian(port, arrays), config).decode())

    return compute


def _sparsegpt_rule(match: re.Match[str]) -> Rule:
    if match[1] is not None:
        return Rule(_layer("SparseGPT", keep=None, sparsity=int(match[1]) / 100), 1e-9)
    pruned, group = int(match[2]), int(match[3])
    return Rule(_layer("SparseGPT", keep=(group - pruned, group)), 1e-9)


def _wanda_rule(match: re.Match[str]) -> Rule:
    if match[1] is not None:
        return Rule(_layer("Wanda", keep=None, sparsity=int(match[1]) / 100), 1e-9)
    pruned, group = int(match[2]), int(match[3])
    return Rule(_layer("Wanda", keep=(group - pruned, group)), 1e-9)


def _pb_llm_rule(match: re.Match[str]) -> Rule:
    score = {"hessian": "trailing", "magnitude": "magnitude"}[match[1]]
    return Rule(_layer("PBLLM", score=score, low_share=int(match[2]) / 100), 1e-9)


def _arb_llm_rule(match: re.Match[str]) -> Rule:
    compute = _arb_llm(match[1], groups=match[2] is None, metric=match[3])
    return Rule(compute, 1e-8 if match[1] == "arb" else 1e-9)


_RULES: tuple[tuple[str, Callable[[re.Match[str]], Rule]], ...] = (
    (r"H", lambda _: Rule(_hessian, 1e-12, ("X",), "H")),
    (r"residual_order(\d)", lambda m: Rule(_residual(int(m[1])), 1e-12, ("W", "mask"))),
    (
        r"billm\.(hessian|magnitude)(\.no_compensation)?",
        lambda m: Rule(_billm(m[1], compensated=m[2] is None), 1e-9),
    ),
    (
        r"stbllm_binarizer\.(hessian|magnitude)(\.no_compensation)?",
        lambda m: Rule(_stbllm_binarizer(m[1], compensated=m[2] is None), 1e-9),
    ),
    (
        r"(arb|arb_x|arb_rc)_order(\d)",
        lambda m: Rule(_refined(m[1], int(m[2])), 1e-12, ("W", "mask", "S")),
    ),
    (r"(arb|arb-x|arb-rc)\.(no)?cgb\.(hessian|magnitude)", _arb_llm_rule),
    (r"gptq\.(\d)bit(?:\.group(\d+))?(\.actorder)?", _gptq_rule),
    (r"sparsegpt\.(?:(\d+)|prune(\d+)of(\d+))", _sparsegpt_rule),
    (r"wanda\.(?:(\d+)|prune(\d+)of(\d+))", _wanda_rule),
    (r"pb_llm\.(hessian|magnitude)\.(\d+)", _pb_llm_rule),
)
"""Patterns of array names, and their rules."""


def rule_of(array: str) -> Rule | None:
    """Return the rule for an array, by its name.

    Parameters
    ----------
    array : str
        Its name in the file.

    Returns
    -------
    Rule or None
        None for methods that this suite does not know yet.

    Examples
    --------
    >>> print(rule_of("residual_order2"))
    1e-12 of max|W|
    >>> rule_of("another.method") is None
    True
    """
    for pattern, make in _RULES:
        if match := re.fullmatch(pattern, array):
            return make(match)
    return None


def _deviation(actual: npt.NDArray[np.float64], expected: npt.NDArray[Any], scale: float) -> float:
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    largest = float(np.max(np.abs(actual - expected), initial=0.0))
    return largest / scale if scale > 0 else largest


def compare_array(port: Port, file: str, array: str, arrays: Arrays) -> Comparison:
    """Compare one array of a file.

    Parameters
    ----------
    port : object
        The port.
    file : str
        Name of the file, for the outcome.
    array : str
        Name of the array.
    arrays : mapping of str to ndarray
        All arrays of the file.

    Returns
    -------
    Comparison
        The outcome.
    """
    rule = rule_of(array)
    if rule is None:
        return Comparison(file, array, None, None, None, "not implemented")
    if absent := [name for name in rule.inputs if name not in arrays]:
        raise ArgumentError(
            "released", f"the inputs of {array} alongside it", f"no {absent[0]} in {file}"
        )
    try:
        actual = rule.compute(port, arrays)
    except _MissingError as missing:
        status = f"not implemented: the port lacks {missing}"
        return Comparison(file, array, None, str(rule), None, status)
    # Any exception in a port is a divergence, and the other arrays are still compared.
    except Exception as error:  # noqa: BLE001
        status = f"failed with {type(error).__name__}: {error}"
        return Comparison(file, array, float("inf"), str(rule), passed=False, status=status)
    scale = float(np.max(np.abs(arrays[rule.scale]), initial=0.0))
    deviation = _deviation(actual, arrays[array], scale)
    passed = deviation <= rule.limit
    status = "conforms" if passed else "diverges"
    return Comparison(file, array, deviation, str(rule), passed, status)


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        came = f"{path} ({type(error).__name__}: {error})"
        raise ArgumentError("released", "readable .npz files", came) from error


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ArgumentError("released", "a folder of .npz files", folder)
    found = sorted(folder.glob("*.npz"))
    present = {path.name for path in found}
    if absent := sorted(_listed(folder / "index.json") - present):
        raise ArgumentError("released", "all files that its index.json lists", f"no {absent[0]}")
    return found


def _listed(index: Path) -> set[str]:
    if not index.is_file():
        return set()
    try:
        return {entry["file"] for entry in json.loads(index.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError) as error:
        came = f"{index} ({type(error).__name__}: {error})"
        raise ArgumentError("released", "an index.json with a list of files", came) from error


def compare_folder(port: Port, folder: Path) -> Iterator[Comparison]:
    """Compare all outputs of a folder.

    Parameters
    ----------
    port : object
        The port.
    folder : Path
        Folder with the files; an ``index.json`` is optional, and all files it lists must exist.

    Yields
    ------
    Comparison
        One per array that is not an input.

    Raises
    ------
    ArgumentError
        If the folder is missing, or a file is missing or damaged.
    """
    for path in _files(folder):
        arrays = _read(path)
        for array in arrays:
            if array not in INPUTS:
                yield compare_array(port, path.name, array, arrays)
