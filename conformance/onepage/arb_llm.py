"""ARB-LLM
=======

*ARB-LLM: Alternating Refined Binarizations for Large Language Models*, arXiv 2410.03129.

========== ======= ===================================================================
symbol     shape   meaning
========== ======= ===================================================================
``W``      (n, m)  weights of a linear layer; the result ``Q`` has the same shape
``H``      (m, m)  ``2/N Σ XᵀX`` over the inputs ``X`` of N calibration sequences
``w``      (n, k)  weights of one block of columns, moved by the blocks before it
``M``      (n, k)  the entries of a group, 1 or 0
``B``      (n, k)  signs of each plane, 0 outside the group
``S``      (k, k)  the block's part of ``H``, not damped; a factor does not matter
========== ======= ===================================================================

A group has one plane of signs, or two if its columns are salient. A quotient whose denominator
is zero keeps its old value. The paper's two methods are ``arb_rc`` and ``arb_x``; ``arb`` is
what they grew from.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
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


def start(w: Array, M: Array, orders: int) -> tuple[Array, list[Array], list[Array]]:
    """Return mean, scales and signs of the plain binarization."""
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


def nearest(z: Array, M: Array, u: Array, v: Array) -> list[Array]:
    """Choose two signs at once."""
    pairs = [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
    # ARB-LLM (8):  (B₁, B₂) = argmin |Z − (± α₁ ± α₂)|
    best = np.argmin([np.abs(z - (s * u + t * v)) for s, t in pairs], axis=0)
    return [M * np.array(side)[best] for side in zip(*pairs, strict=True)]


def arb(w: Array, M: Array, _S: Array, orders: int) -> Array:
    """Alternate between mean, scales and signs: section 3.2."""
    mu, alpha, B = start(w, M, orders)
    # ARB-LLM Alg. 1:  for t = 1 … T:  μ, then α, then B
    for _ in range(ROUNDS):
        # ARB-LLM (3):  R = W − Ŵ,  μ ← μ + mean R
        R = M * (w - mu) - planes(alpha, B)
        mu = mu + over_rows(R) / np.maximum(over_rows(M), 1)
        for p in range(orders):
            # ARB-LLM (7):  α₁ = Σ B₁∘(W − μ − α₂B₂) / Σ B₁²,  then α₂ likewise
            alpha[p] = quotient(B[p] * (w - mu - planes(alpha, B, p)), B[p] ** 2, alpha[p])
        # ARB-LLM (4):  B = sign(W − μ)
        B = [M * np.where(w >= mu, 1.0, -1.0)] if orders == 1 else nearest(w - mu, M, *alpha)
    return M * mu + planes(alpha, B)


def arb_x(w: Array, M: Array, S: Array, orders: int) -> Array:
    """Fit mean and scales to the layer's outputs: section 3.3."""
    mu, alpha, B = start(w, M, orders)
    for _ in range(ROUNDS):
        # ARB-LLM (11):  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1
        mu = quotient((M @ S) * (M * w - planes(alpha, B)), (M @ S) * M, mu)
        for p in range(orders):
            # ARB-LLM (11):  α = diag(B S (W − μ)ᵀ) / diag(B S Bᵀ)
            rest = M * (w - mu) - planes(alpha, B, p)
            alpha[p] = quotient((B[p] @ S) * rest, (B[p] @ S) * B[p], alpha[p])
    return M * mu + planes(alpha, B)


def arb_rc(w: Array, M: Array, _S: Array, orders: int) -> Array:
    """Alternate between scales of rows and of columns: section 3.3."""
    r: list[Array] = []
    c: list[Array] = []
    B: list[Array] = []
    rest = M * w
    for _ in range(orders):
        # ARB-LLM (12):  α_r = mean_j |W_ij|,  α_c = mean_i |W_ij| / α_r,i,  B = sign(W)
        r.append(over_rows(np.abs(rest)) / np.maximum(over_rows(M), 1))
        used = M * (r[-1] > 0)
        shares = used * np.abs(rest) / np.where(r[-1] > 0, r[-1], 1.0)
        c.append(over_rows(shares.T).T / np.maximum(over_rows(used.T).T, 1))
        B.append(M * np.where(rest >= 0, 1.0, -1.0))
        rest = rest - r[-1] * c[-1] * B[-1]
    for _ in range(ROUNDS):
        for p in range(orders):
            rest = M * w - planes([x * y for x, y in zip(r, c, strict=True)], B, p)
            # ARB-LLM (13):  α_r = Σ_j α_c B∘W / Σ_j α_c² B²
            r[p] = quotient(c[p] * B[p] * rest, (c[p] * B[p]) ** 2, r[p])
            # ARB-LLM (13):  α_c = Σ_i α_r B∘W / Σ_i α_r² B²
            c[p] = quotient((r[p] * B[p] * rest).T, ((r[p] * B[p]) ** 2).T, c[p].T).T
        if orders == 2:
            B = nearest(w, M, r[0] * c[0], r[1] * c[1])
    return planes([x * y for x, y in zip(r, c, strict=True)], B)


def error(w: Array, M: Mask, orders: int) -> float:
    """Return the squared error of a group as it starts."""
    mu, alpha, B = start(w, M.astype(np.float64), orders)
    # ARB-LLM (1):  L1 = ‖W − (αB + μ)‖²
    return float(((w - mu - planes(alpha, B)) ** 2)[M].sum())


def groups(w: Array, scores: Array, counts: tuple[int, int]) -> list[tuple[Mask, int]]:
    """Choose salient columns, then one cut for the block: the column-group bitmap, section 3.4."""
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


def arb_llm(
    W: Array,
    H: Array,
    refine: Callable[[Array, Array, Array, int], Array] = arb_rc,
    *,
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
        # BiLLM (3):  s_i = w_i² / [H⁻¹]_ii²
        scores = w**2 / np.diag(inverse)[B] ** 2
        for M, orders in groups(w, scores, counts):
            Q[:, B] += refine(w, M.astype(np.float64), H[B, B], orders)
        # GPTQ (4):  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
        W[:, R] -= (w - Q[:, B]) @ np.linalg.inv(U[B, B]) @ U[B, R]
    return Q
