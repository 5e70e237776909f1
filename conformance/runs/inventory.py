"""What a run's files hold
=======================

Bits are counted from the records themselves, not taken from the manifest: nominal and
payload bits from each layer, artifact bits from the sizes of the files.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from subbit.reference import PayloadBits, nominal_bits, payload_bits
from subbit.reference.layer import BinaryGroup, QuantizedLayer

from .held import read_block
from .manifest import Manifest


@dataclass(frozen=True)
class Inventory:
    """Bits of one or several linears.

    Parameters
    ----------
    linears : int
        Number of linears.
    nominal : float
        Nominal bits.
    payload : PayloadBits
        Payload bits by part, and the number of weights.
    artifact : float
        Bits of files.
    zero_signs : int
        Signs that are 0 and change a value.
    """

    linears: int = 0
    nominal: float = 0.0
    payload: PayloadBits = field(default_factory=PayloadBits)
    artifact: float = 0.0
    zero_signs: int = 0

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.payload.weights

    def __add__(self, other: "Inventory") -> "Inventory":
        """Return the sum of both."""
        return Inventory(
            self.linears + other.linears,
            self.nominal + other.nominal,
            self.payload + other.payload,
            self.artifact + other.artifact,
            self.zero_signs + other.zero_signs,
        )


def count_zero_signs(layer: QuantizedLayer) -> int:
    """Count the signs that are 0.

    Parameters
    ----------
    layer : QuantizedLayer
        A layer, as loaded from its record.

    Returns
    -------
    int
        Signs of 0 under a mask, in all planes.
    """
    planes = (
        (group.mask, plane.sign)
        for block in layer.blocks
        for group in block.groups
        if isinstance(group, BinaryGroup)
        for plane in group.planes
    )
    return sum(int(np.count_nonzero(mask & (sign == 0))) for mask, sign in planes)


def take_inventory(folder: Path, manifest: Manifest) -> dict[str, Inventory]:
    """Count the bits of a run's files by kind of linear.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        Its state.

    Returns
    -------
    dict of str to Inventory
        Inventories by kind. A file's header is divided evenly among its linears, so all
        kinds together have the bits of all files.

    Raises
    ------
    RecordError
        If a file is damaged, or not the one that the run has written.
    """
    float_bits = 8 * np.dtype(manifest.settings.scales).itemsize
    found: dict[str, Inventory] = {}
    for block in manifest.blocks:
        records = read_block(folder, manifest, block)
        shared = (records.file_bytes - sum(records.layer_bytes.values())) / len(block.layers)
        for result in block.layers:
            layer = records.layers[result.name]
            payload = payload_bits(layer, float_bits=float_bits)
            found[result.kind] = found.get(result.kind, Inventory()) + Inventory(
                1,
                nominal_bits(layer) * payload.weights,
                payload,
                8 * (records.layer_bytes[result.name] + shared),
                count_zero_signs(layer),
            )
    return found


def total(inventories: Iterable[Inventory]) -> Inventory:
    """Add up inventories.

    Parameters
    ----------
    inventories : iterable of Inventory
        Any number of them.

    Returns
    -------
    Inventory
        Their sum.
    """
    return sum(inventories, Inventory())
