"""STBLLM
======

*STBLLM: Breaking the 1-Bit Barrier with Structured Binary LLMs*, arXiv 2408.01803.

========== ======= ===================================================================
symbol     shape   meaning
========== ======= ===================================================================
``W``      (n, m)  weights of a linear layer; the result ``Q`` has the same shape
``H``      (m, m)  ``2/N Σ XᵀX`` over the inputs ``X`` of N calibration sequences
``U``      (m, m)  upper triangular, ``(H + λI)⁻¹ = UᵀU``
``kept``   (n, m)  N of every M consecutive weights of a row; the others become zero
``w``      (n, k)  weights of one block of columns, moved by the blocks before it
``M``      (n, k)  the entries of a group, True or False
========== ======= ===================================================================

Columns of dead inputs, whose weights cannot matter, begin at zero. Once the weights to keep are
chosen, the rest is BiLLM with three groups in place of two, all of kept weights.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


def share(x: Array, axis: int) -> Array:
    """Divide by the sum of the row or column; there is no share of a zero."""
    total = x.sum(axis=axis, keepdims=True)
    return np.divide(x, total, out=np.zeros(x.shape), where=total > 0)


def importance(W: Array, H: Array) -> Array:
    """Score the weights."""
    # subbit (31):  ‖X_j‖ = √(1/N Σ_s ‖X_s,j‖²) = √(H_jj / 2)
    norms = np.sqrt(np.diag(H) / 2)
    shares = share(np.abs(W), 0) + share(np.abs(W), 1)
    away = shares - shares.mean(axis=1, keepdims=True)
    away[np.ptp(shares, axis=1) == 0] = 0.0
    deviation = shares.std(axis=1, keepdims=True)
    # STBLLM (2):  SI_ij = σ(μ(|W_ij|)) · ‖X_:,j‖₂
    return np.divide(away, deviation, out=np.zeros(W.shape), where=deviation > 0) * norms


def largest(scores: Array, N: int, M: int) -> Mask:
    """Choose N of every M consecutive entries."""
    kept = np.zeros(scores.shape, dtype=bool)
    for row, chosen in zip(scores, kept, strict=True):
        for first in range(0, len(row), M):
            # subbit (33):  M_ij = [#{l in group : S_il > S_ij, or = with l < j} < N]
            ranked = np.argsort(-row[first : first + M], kind="stable")
            chosen[first + ranked[:N]] = True
    return kept


def binarize(w: Array, M: Mask, orders: int = 1) -> Array:
    """Give each row of a group one scale and signs; then, if asked, what is left once more."""
    count = np.maximum(M.sum(axis=1, keepdims=True), 1)
    image = np.zeros(w.shape)
    for _ in range(orders):
        # BiLLM (6):  α_o, B_o from W;  α_r, B_r from W − α_o B_o
        rest = np.where(M, w - image, 0.0)
        # BiLLM (12):  α_i = ‖W_i‖₁ / c_i over the group's entries
        alpha = np.abs(rest).sum(axis=1, keepdims=True) / count
        image = image + M * alpha * np.where(rest >= 0, 1.0, -1.0)
    return image


def best(w: Array, candidates: list[list[Mask]]) -> list[Mask]:
    """Return the groups that have the smallest error when they are binarized once."""
    # BiLLM (4):  L1 = ‖W − αB‖²
    errors = [sum(((w - binarize(w, M)) ** 2)[M].sum() for M in groups) for groups in candidates]
    return candidates[int(np.argmin(errors))]


def salient_entries(w: Array, S: Array, kept: Mask, counts: tuple[int, int]) -> Mask:
    """Choose the columns that matter most."""
    # BiLLM Alg. 2:  columns by topk(Σ_i |S_ij|)
    ranking = np.argsort(-S.sum(axis=0), kind="stable")
    low, high = (min(count, w.shape[1]) for count in counts)
    chosen = [np.isin(np.arange(w.shape[1]), ranking[:c]) for c in range(low, high + 1)]
    # BiLLM (5):  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
    return best(w, [[kept & columns, kept & ~columns] for columns in chosen])[0]


def trisect(w: Array, M: Mask) -> list[Mask]:
    """Cut a group at a magnitude and at twice it into dense, intermediate and sparse entries."""
    if not M.any():
        return [M]
    cuts = np.linspace(0.1, 0.9, 160) * np.abs(w[M]).max()
    # subbit (40):  {t : 2t ≤ t_c}, or all t if that is empty
    cuts = cuts[2 * cuts <= cuts[-1]] if np.any(2 * cuts <= cuts[-1]) else cuts
    size = np.abs(w)
    # STBLLM Alg. 2:  M₁: |w| ≤ p₁,  M₂: p₁ < |w| ≤ p₂,  M₃: |w| > p₂,  p₂ = 2 p₁
    regions = [
        [M & (size <= p), M & (p < size) & (size <= 2 * p), M & (size > 2 * p)] for p in cuts
    ]
    return best(w, regions)


def stbllm(
    W: Array,
    H: Array,
    *,
    keep: tuple[int, int] = (4, 8),
    block_size: int = 128,
    counts: tuple[int, int] = (3, 30),
) -> Array:
    """Quantize a linear layer."""
    dead = np.diag(H) == 0
    # subbit (9):  H ← H + λI,  λ = percdamp · mean(diag H)
    damped = H + np.diag(np.where(dead, 1.0, 0.0))
    damped = damped + 0.01 * np.diag(damped).mean() * np.eye(len(H))
    # BiLLM Alg. 1:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
    U = np.linalg.cholesky(np.linalg.inv(damped)).T
    kept = largest(importance(W, H), *keep)
    # STBLLM Alg. 1:  W ∘ M, where M holds the N largest scores of each M weights
    W, Q = np.where(dead, 0.0, W) * kept, np.zeros(W.shape)
    for b in range(0, W.shape[1], block_size):
        B, R = slice(b, b + block_size), slice(b + block_size, None)
        w = W[:, B]
        # BiLLM Alg. 2:  S = W² / [H^c]²
        salient = salient_entries(w, w**2 / np.diag(U)[B] ** 2, kept[:, B], counts)
        Q[:, B] = binarize(w, salient, orders=2)
        # subbit (49):  every group is cut from what is kept, M_g ⊆ M
        for M in trisect(w, kept[:, B] & ~salient):
            Q[:, B] += binarize(w, M)
        E = (w - Q[:, B]) @ np.linalg.inv(U[B, B])
        # subbit (48):  W_R ← W_R − (E U_BR) ∘ M_R
        W[:, R] -= E @ U[B, R] * kept[:, R]
    return Q
