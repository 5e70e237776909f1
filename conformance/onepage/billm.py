"""BiLLM
=====

*BiLLM: Pushing the Limit of Post-Training Quantization for LLMs*, arXiv 2402.04291v2.

========== ======= ===================================================================
symbol     shape   meaning
========== ======= ===================================================================
``W``      (n, m)  weights of a linear layer; the result ``Q`` has the same shape
``H``      (m, m)  ``2/N Σ XᵀX`` over the inputs ``X`` of N calibration sequences
``U``      (m, m)  upper triangular, ``(H + λI)⁻¹ = UᵀU``; ``H^c`` in the paper
``w``      (n, k)  weights of one block of columns, moved by the blocks before it
``M``      (n, k)  the entries of a group, True or False
========== ======= ===================================================================

Columns of dead inputs, whose weights cannot matter, begin at zero.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


def factor(H: Array, percdamp: float = 0.01) -> tuple[Array, Mask]:
    """Return U, and which inputs are dead."""
    # subbit (8):  dead_j  ⇔  H_jj = 0
    dead = np.diag(H) == 0
    H = H + np.diag(np.where(dead, 1.0, 0.0))
    # subbit (9):  H ← H + λI,  λ = percdamp · mean(diag H)
    H = H + percdamp * np.diag(H).mean() * np.eye(len(H))
    # BiLLM Alg. 1:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
    return np.linalg.cholesky(np.linalg.inv(H)).T, dead


def binarize(w: Array, M: Mask, orders: int = 1) -> Array:
    """Give each row of a group one scale and signs; then, if asked, what is left once more."""
    count = np.maximum(M.sum(axis=1, keepdims=True), 1)
    image = np.zeros(w.shape)
    for _ in range(orders):
        # BiLLM (6):  α_o, B_o from W;  α_r, B_r from W − α_o B_o
        rest = np.where(M, w - image, 0.0)
        # BiLLM (12):  α_i = ‖W_i‖₁ / c_i over the group's entries
        alpha = np.abs(rest).sum(axis=1, keepdims=True) / count
        # BiLLM (2):  sign(x) = +1 if x ≥ 0, −1 otherwise
        B = np.where(rest >= 0, 1.0, -1.0)
        # BiLLM (7):  W ≈ α_o B_o + α_r B_r
        image = image + M * alpha * B
    return image


def error(w: Array, groups: list[Mask]) -> float:
    """Return the squared error of groups that are binarized once."""
    # BiLLM (4):  L1 = ‖W − αB‖²
    return float(sum(((w - binarize(w, M)) ** 2)[M].sum() for M in groups))


def salient_columns(w: Array, S: Array, counts: tuple[int, int]) -> Mask:
    """Choose the columns that matter most."""
    # BiLLM Alg. 2:  columns by topk(Σ_i |S_ij|)
    ranking = np.argsort(-np.abs(S).sum(axis=0), kind="stable")
    low, high = (min(count, w.shape[1]) for count in counts)
    choices = [np.isin(np.arange(w.shape[1]), ranking[:c]) for c in range(low, high + 1)]
    # BiLLM (5):  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
    errors = [error(w, [everywhere(chosen, w), everywhere(~chosen, w)]) for chosen in choices]
    return choices[int(np.argmin(errors))]


def split(w: Array, M: Mask) -> tuple[Mask, Mask]:
    """Cut a group at a magnitude into concentrated and sparse entries."""
    if not M.any():
        return M, M
    # BiLLM Alg. 2:  p = i · max|W|,  i = 0.1, 0.2, …, 0.9
    cuts = np.abs(w[M]).max() * np.arange(1, 10) / 10
    # BiLLM (11):  W_c: |w| ≤ p,  W_s: |w| > p
    pairs = [(M & (np.abs(w) <= p), M & (np.abs(w) > p)) for p in cuts]
    # BiLLM (13):  p* = argmin_p θ²(p)
    return pairs[int(np.argmin([error(w, list(pair)) for pair in pairs]))]


def everywhere(columns: Mask, w: Array) -> Mask:
    """Return the entries of some columns."""
    return np.broadcast_to(columns, w.shape)


def billm(W: Array, H: Array, *, block_size: int = 128, counts: tuple[int, int] = (3, 30)) -> Array:
    """Quantize a linear layer."""
    U, dead = factor(H)
    W, Q = np.where(dead, 0.0, W), np.zeros(W.shape)
    # BiLLM Alg. 1:  for b = 0, β, 2β, …
    for b in range(0, W.shape[1], block_size):
        B, R = slice(b, b + block_size), slice(b + block_size, None)
        w = W[:, B]
        # BiLLM Alg. 2:  S = W² / [H^c]²
        S = w**2 / np.diag(U)[B] ** 2
        chosen = salient_columns(w, S, counts)
        concentrated, sparse = split(w, everywhere(~chosen, w))
        Q[:, B] = binarize(w, concentrated) + binarize(w, sparse)
        Q[:, B] += binarize(w, everywhere(chosen, w), orders=2)
        # GPTQ (4):  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
        E = (w - Q[:, B]) @ np.linalg.inv(U[B, B])
        # BiLLM Alg. 1:  W_R ← W_R − E H^c_BR
        W[:, R] -= E @ U[B, R]
    return Q
