"""The released loops in torch
===========================

Yardsticks of speed: layer routines the way the methods' released codes compute them, column
by column and candidate by candidate. They make no records and check nothing.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, m)    the layer's weights; ``w`` one block of them
``U``      (m, m)    inverse factor; ``u`` its diagonal in the block
``S``      (n, k)    saliency scores of the block
========== ========= ==========================================================
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from subbit.conformance.models.needs import require

Tensor: TypeAlias = Any
Masks: TypeAlias = list[tuple[Tensor, int]]
"""Entries of the groups of a block, and their orders."""
LEAST, MOST = 1, 50
"""Numbers of salient columns that are tried, the second excluded."""
ROUNDS, EPS = 15, 1e-8


def _torch() -> Any:  # noqa: ANN401 - an untyped library
    return require("torch", "bench", "models")


def damp(H: Tensor, percdamp: float = 0.01) -> Tensor:
    """Damp a Hessian.

    Parameters
    ----------
    H : Tensor, shape (m, m)
        Proxy Hessian.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.

    Returns
    -------
    Tensor, shape (m, m)
        The damped Hessian.
    """
    damped = H.clone()
    diagonal = damped.diagonal()
    diagonal[diagonal == 0] = 1
    diagonal += percdamp * diagonal.mean()
    return damped


def inverse_factor(H: Tensor) -> Tensor:
    """Factor the inverse of a damped Hessian: factor, invert, factor again.

    Parameters
    ----------
    H : Tensor, shape (m, m)
        Damped Hessian.

    Returns
    -------
    Tensor, shape (m, m)
        Upper triangular factor.
    """
    torch = _torch()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(H))
    return torch.linalg.cholesky(inverse, upper=True)


def _columns(w: Tensor, U: Tensor, quantize: Callable[[Tensor, int], Tensor]) -> tuple[Any, Any]:
    """Quantize the columns of a block in turn; return their images and scaled errors."""
    torch = _torch()
    w, Q, E, losses = w.clone(), *(torch.zeros_like(w) for _ in range(3))
    for i in range(w.shape[1]):
        q, d = quantize(w, i), U[i, i]
        Q[:, i] = q
        losses[:, i] = (w[:, i] - q) ** 2 / d**2
        error = (w[:, i] - q) / d
        w[:, i:] -= error.unsqueeze(1).matmul(U[i, i:].unsqueeze(0))
        E[:, i] = error
    return Q, E


Quantizer: TypeAlias = Callable[[Tensor, Tensor, slice], tuple[Tensor, Tensor]]
Image: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def _blocks(W: Tensor, H: Tensor, block: int, quantize: Quantizer) -> Tensor:
    """Run the loop over blocks; `quantize` gets a block's weights, its U and its columns."""
    torch = _torch()
    U = inverse_factor(damp(H))
    W, Q = W.clone(), torch.zeros_like(W)
    for start in range(0, W.shape[1], block):
        own = slice(start, min(start + block, W.shape[1]))
        Q[:, own], E = quantize(W[:, own], U[own, own], own)
        W[:, own.stop :] -= E.matmul(U[own, own.stop :])
    return Q


def _at_once(W: Tensor, H: Tensor, block: int, image: Image) -> Tensor:
    """Run the loop over blocks that are quantized at once, from their weights and scores."""

    def quantize(w: Tensor, U: Tensor, _own: slice) -> tuple[Tensor, Tensor]:
        u = U.diagonal()
        Q = image(w, w**2 / u**2)
        return Q, (w - Q) / u

    return _blocks(W, H, block, quantize)


def _grid(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    low, high = w.min(1).values.clamp(max=0), w.max(1).values.clamp(min=0)
    empty = (low == 0) & (high == 0)
    low[empty], high[empty] = -1, 1
    scale = (high - low) / (2**bits - 1)
    return scale, (-low / scale).round()


def _nearest(w: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
    return scale * (((w / scale).round() + zero).clamp(0, 2**bits - 1) - zero)


def gptq(W: Tensor, H: Tensor, block: int = 128, bits: int = 2) -> Tensor:
    """Quantize a layer by GPTQ, with one grid for each block of a row.

    Parameters
    ----------
    W : Tensor, shape (n, m)
        Weights.
    H : Tensor, shape (m, m)
        Proxy Hessian.
    block : int, default 128
        Columns per block.
    bits : int, default 2
        Bits per code.

    Returns
    -------
    Tensor, shape (n, m)
        The quantized weights.
    """

    def quantize(W: Tensor, U: Tensor, _own: slice) -> tuple[Tensor, Tensor]:
        grid = _grid(W, bits)
        return _columns(W, U, lambda w, i: _nearest(w[:, i], *grid, bits))

    return _blocks(W, H, block, quantize)


def sparsegpt(W: Tensor, H: Tensor, block: int = 128, keep: tuple[int, int] = (4, 8)) -> Tensor:
    """Prune a layer by SparseGPT.

    Parameters
    ----------
    W : Tensor, shape (n, m)
        Weights.
    H : Tensor, shape (m, m)
        Proxy Hessian.
    block : int, default 128
        Columns per block.
    keep : tuple of int, default (4, 8)
        N and M, N of each M weights are kept.

    Returns
    -------
    Tensor, shape (n, m)
        The remaining weights.
    """
    torch, (least, group) = _torch(), keep

    def quantize(W: Tensor, U: Tensor, _own: slice) -> tuple[Tensor, Tensor]:
        u = U.diagonal()
        gone = torch.zeros_like(W, dtype=torch.bool)

        def prune(w: Tensor, i: int) -> Tensor:
            if i % group == 0:
                scores = w[:, i : i + group] ** 2 / u[i : i + group] ** 2
                lowest = torch.topk(scores, group - least, dim=1, largest=False)[1]
                gone.scatter_(1, i + lowest, value=True)
            q = w[:, i].clone()
            q[gone[:, i]] = 0
            return q

        return _columns(W, U, prune)

    return _blocks(W, H, block, quantize)


def pb_llm(W: Tensor, H: Tensor, block: int = 128, share: float = 0.9, bits: int = 8) -> Tensor:
    """Quantize a layer by PB-LLM.

    Parameters
    ----------
    W : Tensor, shape (n, m)
        Weights.
    H : Tensor, shape (m, m)
        Proxy Hessian.
    block : int, default 128
        Columns per block.
    share : float, default 0.9
        Share of weights to binarize.
    bits : int, default 8
        Bits per code of the others.

    Returns
    -------
    Tensor, shape (n, m)
        The quantized weights.
    """
    torch, first, grid = _torch(), W, _grid(W, bits)

    def quantize(W: Tensor, U: Tensor, own: slice) -> tuple[Tensor, Tensor]:
        scores = first[:, own] ** 2 / U.diagonal() ** 2
        low = scores <= scores.flatten().sort().values[int(scores.numel() * share)]
        kept = first[:, own] * low
        mean = kept.mean(1)
        scale = (kept - mean[:, None]).abs().mean(1)

        def either(w: Tensor, i: int) -> Tensor:
            binary = mean + scale * (w[:, i] - mean).sign()
            return torch.where(low[:, i], binary, _nearest(w[:, i], *grid, bits))

        return _columns(W, U, either)

    return _blocks(W, H, block, quantize)


def _mean(x: Tensor) -> Tensor:
    """Return the means of rows without their missing entries."""
    return x.nanmean(1, keepdim=True).nan_to_num(0.0)


def _residual(x: Tensor, mask: Tensor, order: int) -> Tensor:
    """Binarize the entries of a mask several times, as released."""
    torch = _torch()
    Q = torch.zeros_like(x)
    for _ in range(order):
        rest = torch.where(mask, x - Q, torch.nan)
        mean = _mean(rest)
        scale = _mean((rest - mean).abs())
        Q += torch.where(mask, mean + scale * (rest - mean).sign(), 0.0)
    return Q


def _salient(S: Tensor) -> Tensor:
    """Return the columns whose binarization apart leaves the least error."""
    torch = _torch()
    ranked = S.abs().sum(0).argsort(descending=True)
    least, best = torch.inf, torch.zeros_like(S, dtype=torch.bool)
    for count in range(LEAST, min(MOST, S.shape[1])):
        mask = torch.zeros_like(best)
        mask[:, ranked[:count]] = True
        error = ((S - _residual(S, mask, 2) - _residual(S, ~mask, 2)) ** 2).mean()
        if error < least:
            least, best = error, mask
    return best


def _cut(S: Tensor, part: Tensor, order: int, grid: Tensor, other: Tensor) -> Tensor:
    """Return the entries of a part above the best of 81 quantiles of some magnitudes."""
    torch = _torch()
    least, best, magnitudes = torch.inf, part, S.abs()
    shares = torch.linspace(0.1, 0.9, 81, dtype=S.dtype)
    for threshold in torch.quantile(grid, shares):
        large = part & (magnitudes >= threshold)
        cut = _residual(S, large, order) + _residual(S, part & ~large, order)
        error = ((S - cut - other) ** 2).mean()
        if error < least:
            least, best = error, large
    return best


def billm(W: Tensor, H: Tensor, block: int = 128) -> Tensor:
    """Quantize a layer by BiLLM.

    Parameters
    ----------
    W : Tensor, shape (n, m)
        Weights.
    H : Tensor, shape (m, m)
        Proxy Hessian.
    block : int, default 128
        Columns per block.

    Returns
    -------
    Tensor, shape (n, m)
        The quantized weights.
    """

    def image(w: Tensor, S: Tensor) -> Tensor:
        salient = _salient(S)
        large = _cut(S, ~salient, 1, (S.abs() * ~salient).flatten(), _residual(S, salient, 2))
        groups = ((~salient & ~large, 1), (large, 1), (salient, 2))
        return sum(_residual(w, mask, order) for mask, order in groups)

    return _at_once(W, H, block, image)


def _start(w: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    torch = _torch()
    known = torch.where(mask, w, torch.nan)
    rows = _mean(known.abs())
    columns = (known.abs() / torch.where(rows > 0, rows, torch.nan)).nanmean(0).nan_to_num(0.0)
    return rows, columns[None], torch.where(mask, w.sign(), 0.0)


def _fit(w: Tensor, rows: Tensor, columns: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    P = columns * B
    rows = (P * w).sum(1, keepdim=True) / ((P * P).sum(1, keepdim=True) + EPS)
    P = rows * B
    return rows, (P * w).sum(0, keepdim=True) / ((P * P).sum(0, keepdim=True) + EPS)


def _row_column(w: Tensor, mask: Tensor, order: int) -> Tensor:
    """Binarize a group with row and column scales, and refine them."""
    torch, planes, rest = _torch(), [], w
    for _ in range(order):
        planes.append(_start(rest, mask))
        rest = rest - planes[-1][0] * planes[-1][1] * planes[-1][2]
    for _ in range(ROUNDS):
        for one in range(order):
            others = [r * c * B for p, (r, c, B) in enumerate(planes) if p != one]
            own = torch.where(mask, w - sum(others), 0.0)
            planes[one] = (*_fit(own, *planes[one]), planes[one][2])
        if order == 2:
            u, v = (r * c for r, c, _ in planes)
            levels = torch.stack((-u - v, -u + v, u - v, u + v))
            nearest = (w - levels).abs().argmin(0)
            signs = (2 * (nearest >= 2) - 1, 2 * (nearest % 2) - 1)
            planes = [(r, c, s * mask) for (r, c, _), s in zip(planes, signs, strict=True)]
    return sum(r * c * B for r, c, B in planes)


def arb_rc(W: Tensor, H: Tensor, block: int = 128) -> Tensor:
    """Quantize a layer by ARB-LLM with row and column scales and column groups.

    Parameters
    ----------
    W : Tensor, shape (n, m)
        Weights.
    H : Tensor, shape (m, m)
        Proxy Hessian.
    block : int, default 128
        Columns per block.

    Returns
    -------
    Tensor, shape (n, m)
        The quantized weights.
    """

    def image(w: Tensor, S: Tensor) -> Tensor:
        return sum(_row_column(w, mask, order) for mask, order in _four_groups(S))

    return _at_once(W, H, block, image)


def _four_groups(S: Tensor) -> Masks:
    salient = _salient(S)
    own = S.abs()[salient]
    rest = S * ~salient
    large = _cut(S, salient, 2, own[own > 0], rest)
    image = _row_column(S, salient, 2)
    above = _cut(S, ~salient, 1, rest.abs().flatten(), image)
    return [(large, 2), (salient & ~large, 2), (above, 1), (~salient & ~above, 1)]
