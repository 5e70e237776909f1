"""Binary groups
=============

Entries of a block that share row means, and planes of signs with a scale for each row.

============== ========= =======================================================
symbol         shape     meaning
============== ========= =======================================================
``M_g``        (n, k)    the entries of the group
``μ_g``        (n,)      one mean per row
``B_p``        (n, k)    signs of a plane
``r_p``        (n,)      its scale of each row
``c_p``        (k,)      its scale of each column
============== ========= =======================================================
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .notation import Array, Mask, Signs
from .stored import as_stored


@dataclass(frozen=True, eq=False)
class Plane:
    """One sign matrix with its scales.

    Parameters
    ----------
    sign : ndarray of int8, shape (n, k)
        Signs; 0 outside the group's mask, and inside it only where a method's switch
        lets sign(0) be 0.
    row_scale : ndarray of float64, shape (n,)
        Scale of each row.
    column_scale : ndarray of float64, shape (k,), optional
        Scale of each column, for methods that have one.
    """

    sign: Signs
    row_scale: Array
    column_scale: Array | None = None

    def decode(self) -> Array:
        """Return ``row_scale · column_scale · sign``.

        Returns
        -------
        ndarray of float64, shape (n, k)
            The plane's contribution.
        """
        values = self.row_scale[:, None] * self.sign
        return values if self.column_scale is None else values * self.column_scale


@dataclass(frozen=True, eq=False)
class BinaryGroup:
    """Entries that share a mean and scales in each row.

    Parameters
    ----------
    name : str
        The group's name in its paper, such as ``"salient"``.
    mask : ndarray of bool, shape (n, k)
        The entries.
    planes : tuple of Plane
        One per order of residual binarization.
    mean : ndarray of float64, shape (n,), optional
        Row means; None for mean-free groups.

    Examples
    --------
    >>> import numpy as np
    >>> plane = Plane(np.array([[1, -1]], dtype=np.int8), np.array([2.0]))
    >>> BinaryGroup("all", np.ones((1, 2), dtype=bool), (plane,), np.array([0.5])).decode()
    array([[ 2.5, -1.5]])
    """

    name: str
    mask: Mask
    planes: tuple[Plane, ...]
    mean: Array | None = None

    @property
    def row_means(self) -> Array:
        """Row means, shape (n,); zeros where the group has none."""
        return np.zeros(len(self.mask)) if self.mean is None else self.mean

    def decode(self) -> Array:
        """Return the group's values, zero outside its mask.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``mask · (mean + Σ planes)``.
        """
        # Eq. (1), subbit:  Ŵ_g = M_g ∘ (μ_g + Σ_p r_p c_pᵀ ∘ B_p)
        values = np.zeros(self.mask.shape)
        if self.mean is not None:
            values += self.mean[:, None]
        for plane in self.planes:
            values += plane.decode()
        return np.where(self.mask, values, 0.0)

    def with_scales(self, dtype: npt.DTypeLike) -> "BinaryGroup":
        """Return the group with scales and means rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        BinaryGroup
            The same signs with rounded scales.
        """
        planes = tuple(
            Plane(
                p.sign,
                as_stored(p.row_scale, dtype),
                None if p.column_scale is None else as_stored(p.column_scale, dtype),
            )
            for p in self.planes
        )
        mean = None if self.mean is None else as_stored(self.mean, dtype)
        return replace(self, planes=planes, mean=mean)
