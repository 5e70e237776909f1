"""Products of sign matrices
=========================

NanoQuant, arXiv 2602.06694v3.

A layer is one group: the product of two sign matrices of rank r, with a scale for each row and
each column,

    ``Ŵ = diag(s) U V diag(c)``,  U of n x r signs, V of r x k.

It stores ``r (n + k)`` signs and ``n + k`` scales, so that its bits follow from the rank alone
and may lie below one for each weight. Components may change places, the signs of a column of U
and of its row of V may flip together, and a factor may move from one scale to the other: the
product stays.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``U, V``             left signs (n, r), right signs (r, k); r is the rank
``s, c``             scales of rows (n,) and of columns (k,)
========== ========= =======================================================
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .notation import Array, Mask, Signs
from .stored import as_stored


@dataclass(frozen=True, eq=False)
class ProductGroup:
    """Whole columns as a scaled product of two sign matrices.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        The entries, all of them.
    left : ndarray of int8, shape (n, r)
        Signs of the rows' shares, -1 or +1.
    right : ndarray of int8, shape (r, k)
        Signs of the components, -1 or +1.
    row_scale : ndarray of float64, shape (n,)
        Scale of each row.
    column_scale : ndarray of float64, shape (k,)
        Scale of each column.

    Examples
    --------
    >>> import numpy as np
    >>> left, right = (np.array(x, dtype=np.int8) for x in ([[1, 1]], [[1, -1], [1, 1]]))
    >>> scales = np.array([0.5]), np.array([1.0, 2.0])
    >>> ProductGroup("all", np.ones((1, 2), dtype=bool), left, right, *scales).decode()
    array([[1., 0.]])
    """

    name: str
    mask: Mask
    left: Signs
    right: Signs
    row_scale: Array
    column_scale: Array

    @property
    def rank(self) -> int:
        """Number of components."""
        return len(self.right)

    def product(self) -> Array:
        """Return the product of both sign matrices, which is whole.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``left @ right``.
        """
        values: Array = self.left.astype(np.float64) @ self.right.astype(np.float64)
        return values

    def decode(self) -> Array:
        """Return the group's values.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``row_scale · column_scale · (left @ right)``.
        """
        # Eq. (101), subbit:  Ŵ_g = M_g ∘ s_g c_gᵀ ∘ (U_g V_g)
        values = self.row_scale[:, None] * self.product() * self.column_scale
        return np.where(self.mask, values, 0.0)

    def with_scales(self, dtype: npt.DTypeLike) -> "ProductGroup":
        """Return the group with its scales rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        ProductGroup
            The same signs with rounded scales.
        """
        return replace(
            self,
            row_scale=as_stored(self.row_scale, dtype),
            column_scale=as_stored(self.column_scale, dtype),
        )
