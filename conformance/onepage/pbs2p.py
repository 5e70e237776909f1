"""PBS2P
=====

*Progressive Binarization with Semi-Structured Pruning for LLMs*, arXiv 2502.01705, in the
reading that agrees best with what is known of it: its text was not available.

========== ======= ===================================================================
symbol     shape   meaning
========== ======= ===================================================================
``W``      (n, m)  weights of a linear layer; the result ``Q`` has the same shape
``H``      (m, m)  ``2/N Σ XᵀX`` over the inputs ``X`` of N calibration sequences
``w``      (n, k)  weights of one block of columns, moved by the blocks before it
``M``      (n, k)  the entries of a group before any is pruned, 1 or 0
``P``      (n, k)  the entries of the block that are kept after a step
``B``      (n, k)  signs of each plane, 0 where nothing is left
``S``      (k, k)  the block's part of ``H``, not damped; a factor does not matter
========== ======= ===================================================================

A group has one plane of signs, or two if its columns are salient. A quotient whose denominator
is zero keeps its old value. Groups are those of ARB-LLM, as if nothing were pruned.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Group: TypeAlias = tuple[Array, list[Array], list[Array]]
"""Mean, scales and signs."""
ROUNDS = 15


def over_rows(x: Array) -> Array:
    """Sum each row."""
    return np.asarray(x.sum(axis=1, keepdims=True))


def quotient(x: Array, y: Array, old: Array) -> Array:
    """Divide the sums of rows."""
    above, below = over_rows(x), over_rows(y)
    return np.divide(above, below, out=old.copy(), where=below > 0)


def planes(alpha: list[Array], B: list[Array], without: int = 2) -> Array:
    """Add the planes of a group, perhaps without one of them."""
    terms = [a * b for p, (a, b) in enumerate(zip(alpha, B, strict=True)) if p != without]
    return np.sum([np.zeros(B[0].shape), *terms], axis=0)


def start(w: Array, M: Array, orders: int) -> Group:
    """Return the plain binarization of a group."""
    count, rest = np.maximum(over_rows(M), 1), M * w
    mu, alpha, B = np.zeros(count.shape), [], []
    for _ in range(orders):
        # ARB-LLM (1):  μ = mean W,  α = mean |W − μ|,  B = sign(W − μ)
        mean = over_rows(rest) / count
        away = M * (rest - mean)
        alpha.append(over_rows(np.abs(away)) / count)
        B.append(M * np.where(away >= 0, 1.0, -1.0))
        # ARB-LLM (6):  Ŵ = α₁B₁ + α₂B₂ + μ
        mu, rest = mu + mean, away - alpha[-1] * B[-1]
    return mu, alpha, B


def fit(target: Array, P: Array, S: Array, group: Group) -> Group:
    """Fit mean and scales to the layer's outputs, as they were before any entry went."""
    mu, alpha, B = group[0], list(group[1]), group[2]
    # PBS2P (2):  L2 = ‖WX − ŴX‖², with W as it was before any entry went
    for _ in range(ROUNDS):
        # PBS2P (4):  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1,  1 over the entries that have the mean
        mu = quotient((P @ S) * (target - planes(alpha, B)), (P @ S) * P, mu)
        for p, b in enumerate(B):
            # ARB-LLM (11):  α = diag(B S (W − μ)ᵀ) / diag(B S Bᵀ)
            rest = target - P * mu - planes(alpha, B, p)
            alpha[p] = quotient((b @ S) * rest, (b @ S) * b, alpha[p])
    return mu, alpha, B


def prune(w: Array, M: Array, orders: int, steps: list[Mask], S: Array) -> Array:
    """Prune a group step by step; its signs stay as they were."""
    target = M * w
    group = fit(target, M, S, start(target, M, orders))
    for kept in steps:
        # subbit (55):  Ŵ = P ∘ (αB + μ), or α P∘B + μ with a shared mean
        P = M * kept
        mu, alpha, B = group
        # subbit (57):  (α, B, μ)_t from P_t and (α, B, μ)_{t−1},  t = 1, …, τ
        group = fit(target, P, S, (mu, alpha, [P * b for b in B]))
        M = P
    return M * group[0] + planes(group[1], group[2])


def schedule(scores: Array, N: int, M: int) -> list[Mask]:
    """Choose the entries kept after each step, one of every M fewer than before."""
    steps = [np.zeros(scores.shape, dtype=bool) for _ in range(M - N)]
    for i, row in enumerate(scores):
        for first in range(0, len(row), M):
            ranked = first + np.argsort(-row[first : first + M], kind="stable")
            # subbit (53):  P_t = nm_mask(s, M − t, M),  t = 1, …, M − N
            for t, kept in enumerate(steps, start=1):
                kept[i, ranked[: M - t]] = True
    return steps


def error(w: Array, M: Mask, orders: int) -> float:
    """Return the squared error of a group as it starts."""
    mu, alpha, B = start(w, M.astype(np.float64), orders)
    # ARB-LLM (1):  L1 = ‖W − (αB + μ)‖²
    return float(((w - mu - planes(alpha, B)) ** 2)[M].sum())


def groups(w: Array, scores: Array, counts: tuple[int, int]) -> list[tuple[Mask, int]]:
    """Choose salient columns, then one cut for the block."""
    ranking = np.argsort(-scores.sum(axis=0), kind="stable")
    low, high = (min(count, w.shape[1]) for count in counts)
    choices = [np.isin(np.arange(w.shape[1]), ranking[:c]) for c in range(low, high + 1)]
    masks = [np.broadcast_to(columns, w.shape) for columns in choices]
    # BiLLM (5):  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
    C = masks[int(np.argmin([error(w, C, 1) + error(w, ~C, 1) for C in masks]))]
    found = []
    # subbit (15):  p_i = quantile(|W|, 0.1 + 0.8 i / (levels − 1))
    for p in np.quantile(np.abs(w), np.linspace(0.1, 0.9, 81)):
        G = np.abs(w) >= p
        # ARB-LLM (14):  G_s = 1 C_sᵀ ∘ G,  G_ns = 1 C_nsᵀ ∘ G
        found.append([(G & C, 2), (~G & C, 2), (G & ~C, 1), (~G & ~C, 1)])
    return found[int(np.argmin([sum(error(w, M, o) for M, o in four) for four in found]))]


def pbs2p(
    W: Array,
    H: Array,
    *,
    keep: tuple[int, int] = (4, 8),
    block_size: int = 128,
    counts: tuple[int, int] = (1, 49),
) -> Array:
    """Quantize a linear layer."""
    dead = np.diag(H) == 0
    # subbit (9):  H ← H + λI,  λ = percdamp · mean(diag H)
    damped = H + np.diag(np.where(dead, 1.0, 0.0))
    damped = damped + 0.01 * np.diag(damped).mean() * np.eye(len(H))
    inverse = np.linalg.inv(damped)
    # BiLLM Alg. 1:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
    U = np.linalg.cholesky(inverse).T
    W, Q = np.where(dead, 0.0, W), np.zeros(W.shape)
    for b in range(0, W.shape[1], block_size):
        B, R = slice(b, b + block_size), slice(b + block_size, None)
        w = W[:, B]
        # PBS2P (8):  s_ij = W_ij² / [H⁻¹]_jj
        steps = schedule(w**2 / np.diag(np.linalg.inv(damped[B, B])), *keep)
        # BiLLM (3):  s_i = w_i² / [H⁻¹]_ii²
        for M, orders in groups(w, w**2 / np.diag(inverse)[B] ** 2, counts):
            Q[:, B] += prune(w, M.astype(np.float64), orders, steps, H[B, B])
        # GPTQ (4):  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
        W[:, R] -= (w - Q[:, B]) @ np.linalg.inv(U[B, B]) @ U[B, R]
    return Q
