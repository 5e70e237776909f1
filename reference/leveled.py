"""Levels of coded scales
======================

A group of whole columns on the symmetric grid of odd levels, -1 and +1 with one plane, to
``±1, ±3, …, ±(2^p − 1)`` with p. It is the binary group of p planes whose row scales are tied,
``1 : 2 : … : 2^(p−1)``: one scale is enough, and what is left of it in a row is an exponent,

    ``r_i = ρ_i 2^{e_i / 16}``,

with ρ a reference that all groups of a layer share and e a whole number of 8 bits. Its steps
are of 4.4 %, so no scale is off by more than 2.2 %.

Between one plane and two lie groups with N *large* entries, at ±3, among each 16 columns of a
row, and the others at ±1. They store their signs and the number of each pattern.

Eight codes are known, so that 3 bits name a group's. *Step* is the scale that suits Gaussian
values of variance 1 best, and *distortion* the mean squared error that it leaves.

======== =========================== ================= ========= ===========
code     levels                      bits of an entry  step      distortion
======== =========================== ================= ========= ===========
``0``    0                           0                           1
``1``    ±1                          1                 0.7979    0.3634
``1:16`` ±1, 1 of each 16 ±3         1 + 4/16          0.7050    0.2544
``2:16`` ±1, 2 of each 16 ±3         1 + 7/16          0.6323    0.2004
``3:16`` ±1, 3 of each 16 ±3         1 + 10/16         0.5763    0.1696
``2``    ±1, ±3                      2                 0.4978    0.1188
``3``    ±1, ±3, ±5, ±7              3                 0.2930    0.0374
``4``    ±1, ±3, …, ±15              4                 0.1676    0.0115
======== =========================== ================= ========= ===========

============ ========= =========================================================
symbol       shape     meaning
============ ========= =========================================================
``L``        (n, k)    levels, odd, or all 0 in a group without planes
``r``        (n,)      scale of each row
``ρ``        (n,)      reference of each row
``e``        (n,)      exponent of each row, -128 to 127
``c``        (k,)      scale of each column
============ ========= =========================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .notation import Array, Mask
from .stored import as_stored

Levels: TypeAlias = npt.NDArray[np.int8]

STEPS = 16
"""Steps of an exponent for each factor of two."""
LEAST_EXPONENT, LARGEST_EXPONENT = -128, 127
EXPONENT_BITS = 8
FLOAT_BITS = 16
"""Bits of a reference, and of a column scale."""
SMALL, LARGE = 1, 3
"""Sizes of levels where some are large."""
SPAN = 16
"""Columns of which a given number are large."""
CODE_BITS = 3

Code: TypeAlias = Literal["0", "1", "1:16", "2:16", "3:16", "2", "3", "4"]


@dataclass(frozen=True)
class Coding:
    """What a code means.

    Parameters
    ----------
    planes : int
        Sign planes that its levels are worth.
    large : int
        Entries of each 16 at ±3, if it has such; otherwise 0.
    step : float
        Best scale for Gaussian values of variance 1.
    distortion : float
        Their mean squared error then.
    """

    planes: int
    large: int
    step: float
    distortion: float


CODES: Mapping[Code, Coding] = MappingProxyType(
    {
        "0": Coding(0, 0, 0.0, 1.0),
        "1": Coding(1, 0, 0.7979, 0.3634),
        "1:16": Coding(2, 1, 0.7050, 0.2544),
        "2:16": Coding(2, 2, 0.6323, 0.2004),
        "3:16": Coding(2, 3, 0.5763, 0.1696),
        "2": Coding(2, 0, 0.4978, 0.1188),
        "3": Coding(3, 0, 0.2930, 0.0374),
        "4": Coding(4, 0, 0.1676, 0.0115),
    }
)


@dataclass(frozen=True, eq=False)
class LevelGroup:
    """Whole columns at odd levels of a scale that each row codes as an exponent.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        The entries, all of them.
    code : {"0", "1", "1:16", "2:16", "3:16", "2", "3", "4"}
        Which levels there are.
    levels : ndarray of int8, shape (n, k)
        The levels. With ``"N:16"``, N of each 16 consecutive columns of a row are at ±3, and
        the last ``k % 16`` columns at ±1.
    reference : ndarray of float64, shape (n,)
        Reference of each row. Groups of a layer with equal references store them once.
    exponent : ndarray of int8, shape (n,), optional
        Exponent of each row; None if the references are the scales.
    column_scale : ndarray of float64, shape (k,), optional
        Scale of each column; None for one.

    Examples
    --------
    >>> import numpy as np
    >>> levels = np.array([[-3, 1]], dtype=np.int8)
    >>> reference, exponent = np.array([0.5]), np.array([16], dtype=np.int8)
    >>> LevelGroup("all", np.ones((1, 2), dtype=bool), "2", levels, reference, exponent).decode()
    array([[-3.,  1.]])
    """

    name: str
    mask: Mask
    code: Code
    levels: Levels
    reference: Array
    exponent: Levels | None = None
    column_scale: Array | None = None

    @property
    def coding(self) -> Coding:
        """What the code means."""
        return CODES[self.code]

    @property
    def row_scale(self) -> Array:
        """Scale of each row, shape (n,)."""
        if self.exponent is None:
            return self.reference
        # Eq. (70), subbit:  r_i = ρ_i 2^{e_i / 16}
        scale: Array = self.reference * np.exp2(self.exponent / STEPS)
        return scale

    def decode(self) -> Array:
        """Return the group's values.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``row_scale · column_scale · levels``.
        """
        # Eq. (71), subbit:  Ŵ_g = M_g ∘ r_g c_gᵀ ∘ L_g
        values = self.row_scale[:, None] * self.levels
        if self.column_scale is not None:
            values = values * self.column_scale
        return np.where(self.mask, values, 0.0)

    def with_scales(self, dtype: npt.DTypeLike) -> "LevelGroup":
        """Return the group with its references and column scales rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        LevelGroup
            The same levels and exponents.
        """
        columns = self.column_scale
        return replace(
            self,
            reference=as_stored(self.reference, dtype),
            column_scale=None if columns is None else as_stored(columns, dtype),
        )
