"""Column loops, replayed
======================

``W - Q = E U`` holds for any Q if E is defined by the recursion of GPTQ's column loop. So
the recursion is run on a port's answer: for each column, it gives the weights that the
column was quantized from, however that was done.

References
----------
GPTQ, arXiv 2210.17323v2, Algorithm 1.
"""

import numpy as np

from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port

PERCDAMP = 0.01


def damped(H: Array) -> Array:
    """Damp a Hessian as the configurations do by default.

    Parameters
    ----------
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.

    Returns
    -------
    ndarray of float64, shape (m, m)
        The Hessian with ones for dead inputs and a share of the mean diagonal added.

    Examples
    --------
    >>> damped(np.diag([1.0, 0.0])).tolist()
    [[1.01, 0.0], [0.0, 1.01]]
    """
    diagonal = np.where(np.diag(H) == 0, 1.0, np.diag(H))
    H = H.copy()
    np.fill_diagonal(H, diagonal + PERCDAMP * diagonal.mean())
    return H


def slack(port: Port, H: Array) -> float:
    """Return the relative error that a port's factor of a Hessian explains.

    Parameters
    ----------
    port : object
        The port under test, which declares its roundoff.
    H : ndarray of float64, shape (m, m)
        The damped Hessian.

    Returns
    -------
    float
        64 m u κ(H).
    """
    return float(64 * len(H) * port.unit_roundoff * np.linalg.cond(H))


def replay(W: Array, U: Array, Q: Array) -> tuple[list[Array], Array]:
    """Run the column loop on an answer.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    U : ndarray of float64, shape (m, m)
        Inverse factor.
    Q : ndarray of float64, shape (n, m)
        The answer.

    Returns
    -------
    states : list of ndarray, shape (n, m) each
        The weights before each column, and after the last.
    E : ndarray of float64, shape (n, m)
        Scaled errors.

    Examples
    --------
    >>> W, U = np.array([[1.0, 1.0]]), np.array([[1.0, 0.5], [0.0, 1.0]])
    >>> states, E = replay(W, U, np.array([[0.0, 0.5]]))
    >>> states[1].tolist(), E.tolist()
    ([[0.0, 0.5]], [[1.0, 0.0]])
    """
    state, E = W.copy(), np.zeros(W.shape)
    states = [state.copy()]
    for i in range(W.shape[1]):
        E[:, i] = (state[:, i] - Q[:, i]) / U[i, i]
        state[:, i:] -= np.outer(E[:, i], U[i, i:])
        states.append(state.copy())
    return states, E
