"""The state of a run
==================

``manifest.json`` holds a run's settings and the decoder blocks it has finished. It is
rewritten atomically after each block, so a run that is killed loses only the block it was
working on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from subbit.conformance.models.base import Tokens
from subbit.conformance.schema import check_schema
from subbit.reference.errors import ArgumentError, SubbitError

from .correction import Correction
from .labels import UNIFORM, Label
from .records import write_atomically

MANIFEST = "manifest.json"
LAYER_FOLDER = "layers"
MANIFEST_VERSION = 3
SEALED = 3
"""The first version whose manifests have a digest of themselves."""

_RETIRED: Mapping[str, Mapping[str, object]] = {"pbs2p": {"column_signs": "fixed"}}
"""Settings that manifests of version 1 held for a method that never used them."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a run.

    Parameters
    ----------
    text : str
        Name or path of the text.
    samples : int
        Number of sequences.
    length : int
        Tokens per sequence.
    seed : int
        Seed for sampling positions.
    sha256 : str
        Digest of the tokens themselves, since the content of a local file may change.
    first_token : int, optional
        Token put before each sequence; None where sequences are cut from the text as they are.
    """

    text: str
    samples: int
    length: int
    seed: int
    sha256: str
    first_token: int | None = None


def tokens_digest(tokens: Tokens) -> str:
    """Return a digest of sequences of tokens.

    Parameters
    ----------
    tokens : ndarray of int64
        Sequences.

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    head = str(tokens.shape).encode()
    return hashlib.sha256(head + tokens.astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True)
class Settings:
    """The settings of a run. Runs with equal settings give equal records.

    Parameters
    ----------
    model, precision : str
        The model, and the source of its weights.
    method, preset : str
        A key of ``METHODS`` and one of its presets.
    config : dict
        The preset's switches, without ``keep``.
    calibration : Calibration
        The sequences.
    blocks : tuple of int
        First decoder block, and the one after the last.
    parts : tuple of str
        Kinds of linears.
    scales : str
        Type of stored scales and means.
    target : str
        The port that did the work.
    version : str
        Version of subbit.
    keep : tuple of int, optional
        N and M: of every M weights, N are kept on average. None for a method that does
        not prune to N:M.
    budget : str, default "uniform"
        The rule that sets the number each decoder block keeps, a key of ``BUDGETS``.
    propagation : Correction, optional
        The error propagation; none by default.
    """

    model: str
    precision: str
    method: str
    preset: str
    config: Mapping[str, Any]
    calibration: Calibration
    blocks: tuple[int, int]
    parts: tuple[str, ...]
    scales: str
    target: str
    version: str
    keep: tuple[int, int] | None = None
    budget: str = UNIFORM
    propagation: Correction | None = None

    @property
    def choice(self) -> Label:
        """The method and its choices."""
        return Label(self.method, self.preset, self.keep, self.budget, self.propagation)

    @property
    def label(self) -> str:
        """The method and its choices, in one word."""
        return str(self.choice)


@dataclass(frozen=True)
class LayerResult:
    """The result for one linear.

    Parameters
    ----------
    block : int
        Its decoder block.
    name, kind : str
        As in `Linear`.
    shape : tuple of int
        (n, m).
    relative_error : float
        ``tr(D H Dᵀ) / tr(W H Wᵀ)`` with the undamped H.
    nominal : float
        Nominal bits of the whole linear.
    payload : dict of str to int
        Payload bits of the whole linear, by part.
    salient_share : float
        Salient columns over all columns.
    seconds, cpu_seconds : float
        Time spent quantizing it.
    underflows : int, default 0
        Scales that lose digits, being smaller than the normal numbers of their stored type.
    """

    block: int
    name: str
    kind: str
    shape: tuple[int, int]
    relative_error: float
    nominal: float
    payload: Mapping[str, int]
    salient_share: float
    seconds: float
    cpu_seconds: float
    underflows: int = 0

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]

    @property
    def payload_bits(self) -> int:
        """Payload bits of the whole linear."""
        return sum(self.payload.values())


@dataclass(frozen=True)
class BlockResult:
    """The result for one decoder block.

    Parameters
    ----------
    block : int
        Its index.
    layers : tuple of LayerResult
        Its linears.
    file_bytes : int
        Size of its record file.
    seconds, cpu_seconds : float
        Time of calibration and quantization together.
    sha256 : str, optional
        Digest of its record file; None in manifests before version 3.
    source : str, optional
        Digest of the weights it was made from, as from `weights_digest`; None before version 3.
    """

    block: int
    layers: tuple[LayerResult, ...]
    file_bytes: int
    seconds: float
    cpu_seconds: float
    sha256: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Manifest:
    """Settings and results of a run, finished or not.

    Parameters
    ----------
    settings : Settings
        Its settings.
    blocks : tuple of BlockResult
        The finished decoder blocks, in order.
    version : int
        Version of the manifest's format.
    kept : tuple of int, optional
        How many of every M weights each decoder block of the model keeps; None if the
        method does not prune to N:M, and until it is planned.
    arithmetic : dict of str to str, optional
        Kernels and threads that the run was started with, as from `kernels.arithmetic`; None
        before version 3.
    checkpoint : dict of str to str, optional
        Digests of the checkpoint's files by name; none of them while it is written, and None
        for a run without a checkpoint.
    """

    settings: Settings
    blocks: tuple[BlockResult, ...] = ()
    version: int = field(default=MANIFEST_VERSION)
    kept: tuple[int, ...] | None = None
    arithmetic: Mapping[str, str] | None = None
    checkpoint: Mapping[str, str] | None = None

    @property
    def layers(self) -> tuple[LayerResult, ...]:
        """The finished linears."""
        return tuple(layer for block in self.blocks for layer in block.layers)

    @property
    def complete(self) -> bool:
        """Whether every block of the selection is done."""
        return len(self.blocks) == len(range(*self.settings.blocks))

    def with_block(self, block: BlockResult) -> "Manifest":
        """Return the manifest with a finished block, in its place.

        Parameters
        ----------
        block : BlockResult
            The block.

        Returns
        -------
        Manifest
            The new state.
        """
        others = [other for other in self.blocks if other.block != block.block]
        return replace(self, blocks=tuple(sorted((*others, block), key=lambda one: one.block)))

    def find(self, index: int) -> BlockResult | None:
        """Look up a finished block.

        Parameters
        ----------
        index : int
            The block.

        Returns
        -------
        BlockResult or None
            None if it is not finished.
        """
        return next((block for block in self.blocks if block.block == index), None)

    def before(self, index: int) -> "Manifest":
        """Return the manifest without a block and those after it.

        Parameters
        ----------
        index : int
            The block.

        Returns
        -------
        Manifest
            The new state; a checkpoint made of other blocks is not finished.
        """
        blocks = tuple(one for one in self.blocks if one.block < index)
        return replace(self, blocks=blocks, checkpoint=None if self.checkpoint is None else {})

    def save(self, folder: Path) -> None:
        """Write the manifest atomically.

        Parameters
        ----------
        folder : Path
            The run's folder.
        """
        content = asdict(self)
        if self.settings.propagation is None:
            # As before there was any, so that what reads those reads these.
            del content["settings"]["propagation"]
        content["sha256"] = _digest(content)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(folder / MANIFEST, text.encode())


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def record_path(folder: Path, block: int) -> Path:
    """Return the path of a decoder block's records.

    Parameters
    ----------
    folder : Path
        The run's folder.
    block : int
        The decoder block.

    Returns
    -------
    Path
        ``layers/block-000.safetensors`` and so on.
    """
    return folder / LAYER_FOLDER / f"block-{block:03d}.safetensors"


def _settings(content: Mapping[str, Any], version: int) -> Settings:
    retired = _RETIRED.get(content["method"], {}) if version == 1 else {}
    config = {
        name: value
        for name, value in content["config"].items()
        if name not in retired or value != retired[name]
    }
    return Settings(
        **{
            **content,
            "config": config,
            "calibration": Calibration(**content["calibration"]),
            "blocks": tuple(content["blocks"]),
            "parts": tuple(content["parts"]),
            "keep": _numbers(content.get("keep")),
            "propagation": _correction(content.get("propagation")),
        }
    )


def _correction(content: Mapping[str, Any] | None) -> Correction | None:
    """Read an error propagation, if there is one."""
    return None if content is None else Correction(**content)


def _numbers(content: list[int] | None) -> tuple[int, ...] | None:
    """Read numbers that manifests lacked before N:M existed."""
    return None if content is None else tuple(content)


def _block(content: Mapping[str, Any]) -> BlockResult:
    layers = tuple(
        LayerResult(**{**layer, "shape": tuple(layer["shape"])}) for layer in content["layers"]
    )
    return BlockResult(**{**content, "layers": layers})


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a run.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Returns
    -------
    Manifest
        Its state.

    Raises
    ------
    SubbitError
        If there is none, or it is not of a known version.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        version = content["version"]
        if version not in range(1, MANIFEST_VERSION + 1):
            raise ArgumentError("version", f"1 to {MANIFEST_VERSION}", version)
        check_schema(content, "manifest")
        sealed = version >= SEALED or "sha256" in content
        if sealed and content.pop("sha256", None) != _digest(content):
            raise ArgumentError("sha256", "the digest of the rest", "another: it was changed")
        blocks = tuple(_block(block) for block in content["blocks"])
        settings = _settings(content["settings"], version)
        kept = _numbers(content.get("kept"))
        arithmetic, checkpoint = content.get("arithmetic"), content.get("checkpoint")
        return Manifest(settings, blocks, kept=kept, arithmetic=arithmetic, checkpoint=checkpoint)
    except OSError as error:
        message = f"{folder}: no quantized model here ({MANIFEST} cannot be read)"
        raise SubbitError(message) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"{path}: no valid manifest ({str(error).splitlines()[0][:200]})"
        raise SubbitError(message) from error


def check_same(wanted: Settings, found: Settings, what: str) -> None:
    """Refuse to continue with different settings.

    A text under another name is the same if it gives the same sequences.

    Parameters
    ----------
    wanted, found : Settings
        The settings requested now, and those the run was started with.
    what : str
        The run, for the message.

    Raises
    ------
    SubbitError
        If a setting differs; the message names the first one.
    """
    moved = wanted.calibration.sha256 == found.calibration.sha256
    for name, now, then in _pairs(wanted, found):
        if now != then and not (moved and name == "calibration text"):
            message = f"{what} was started with {name} {then}, not {now}"
            raise SubbitError(message)


def _pairs(wanted: Settings, found: Settings) -> list[tuple[str, object, object]]:
    """Pair the settings by name, nested ones under their own names."""
    pairs: list[tuple[str, object, object]] = []
    for item in fields(Settings):
        now, then = getattr(wanted, item.name), getattr(found, item.name)
        if isinstance(now, Calibration):
            pairs += [
                (f"calibration {part.name}", getattr(now, part.name), getattr(then, part.name))
                for part in fields(Calibration)
            ]
        elif isinstance(now, Mapping):
            switches = {**now, **then}
            pairs += [(f"{key} of the preset", now.get(key), then.get(key)) for key in switches]
        else:
            pairs.append((item.name, now, then))
    return pairs
