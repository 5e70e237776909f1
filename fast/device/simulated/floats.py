"""Floating-point arithmetic to the last bit
=========================================

Arithmetic that PTX defines and NumPy lacks: flushing of subnormals, NVIDIA's NaN, fused
multiply-add, directed rounding, and bfloat16. Sums are computed in float64; where that
rounds, the sum is rounded to odd, after which a second rounding gives the correct answer.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from .machine import Bits

_NAN32, _NAN16 = np.uint32(0x7FFFFFFF), np.uint16(0x7FFF)
_SIGN32, _MAGNITUDE32 = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_NORMAL32, _RANGE32 = np.uint32(0x00800000), np.uint32(0x7F000000)
_TINY32 = float(np.finfo(np.float32).tiny)
_SPLIT = 134217729.0


def flush(x: Bits) -> Bits:
    """Return float32 `x` with subnormals replaced by zeros of their sign.

    Parameters
    ----------
    x : ndarray of float32
        Numbers.

    Returns
    -------
    ndarray of float32
        `x` itself if it has none.
    """
    bits = x.view(np.uint32)
    magnitude = bits & _MAGNITUDE32
    subnormal = (magnitude - np.uint32(1)) < np.uint32(0x007FFFFF)
    if not np.count_nonzero(subnormal):
        return x
    return np.where(subnormal, bits & _SIGN32, bits).view(np.float32)


def finish(x: Bits, *, ftz: bool) -> Bits:
    """Return a float32 result with NVIDIA's NaN and, with `ftz`, without subnormals."""
    bits = x.view(np.uint32)
    magnitude = bits & _MAGNITUDE32
    if not np.count_nonzero((magnitude - _NORMAL32) >= _RANGE32):
        return x
    bits = np.where(magnitude > np.uint32(0x7F800000), _NAN32, bits)
    if ftz:
        bits = np.where(magnitude < _NORMAL32, bits & _SIGN32, bits)
    return bits.view(np.float32)


def two_sum_error(a: Bits, b: Bits, s: Bits) -> Bits:
    """Return the exact a + b - s for s the rounded float64 sum."""
    t = s - a
    error: Bits = (a - (s - t)) + (b - t)
    return np.where(np.isfinite(s), error, 0.0)


def odd_sum(a: Bits, b: Bits) -> Bits:
    """Return a + b in float64, rounded to odd: inexact results have their last bit set."""
    s = a + b
    error = two_sum_error(a, b, s)
    return _to_odd(s, error)


def _to_odd(s: Bits, error: Bits) -> Bits:
    even = (s.view(np.int64) & 1) == 0
    toward = np.nextafter(s, np.where(error > 0, np.inf, -np.inf))
    return np.where(even & (error != 0), toward, s)


def sum32(p: Bits, c: Bits, mode: str = "rn") -> Bits:
    """Return float32 of the exact sum of two float64 arrays.

    Parameters
    ----------
    p, c : ndarray of float64
        Summands.
    mode : {"rn", "rz", "rm", "rp"}
        Rounding.

    Returns
    -------
    ndarray of float32
        The sum, rounded once.
    """
    if mode != "rn":
        return directed32(odd_sum(p, c), mode)
    s = p + c
    result = s.astype(np.float32)
    # Only a float64 sum halfway between two float32 numbers can be rounded twice.
    suspect = (s.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    suspect |= (np.abs(s) < _TINY32) & (s != 0)
    if np.count_nonzero(suspect):
        p, c = np.broadcast_arrays(p, c)
        result[suspect] = odd_sum(p[suspect], c[suspect]).astype(np.float32)
    return result


def directed32(x: Bits, mode: str) -> Bits:
    """Return float64 `x` as float32, rounded to nearest, zero, minus or plus infinity."""
    near = x.astype(np.float32)
    if mode == "rn":
        return near
    wide = near.astype(np.float64)
    down, up = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    floor = np.where(wide > x, down, near)
    ceiling = np.where(wide < x, up, near)
    if mode == "rz":
        return np.where(x < 0, ceiling, floor)
    return floor if mode == "rm" else ceiling


def fma32(a: Bits, b: Bits, c: Bits, mode: str = "rn") -> Bits:
    """Return a·b + c of float32 arrays, rounded once."""
    return sum32(a.astype(np.float64) * b, c.astype(np.float64), mode)


def fma64(a: Bits, b: Bits, c: Bits) -> Bits:
    """Return a·b + c of float64 arrays, rounded once (Boldo and Melquiond's algorithm)."""
    a, b, c = (np.array(x) for x in np.broadcast_arrays(a, b, c))
    p = a * b
    high, low = _product_error(a, b, p)
    u = c + low
    u_error = two_sum_error(c, low, u)
    t = high + u
    t_error = two_sum_error(high, u, t)
    result = t + odd_sum(t_error, u_error)
    extreme = ~np.isfinite(result)
    for x in (p, c, a, b):
        size = np.abs(x)
        extreme |= (size > 1e250) | ((size < 1e-250) & (size > 0))
    extreme |= (p == 0) & (a != 0) & (b != 0)
    for i in np.flatnonzero(extreme):
        result[i] = _exact_fma(float(a[i]), float(b[i]), float(c[i]), float(p[i]))
    # The plain sum has the right sign of an exact zero.
    return np.where((result == 0) & (p + c == 0) & ~extreme, p + c, result)


def _product_error(a: Bits, b: Bits, p: Bits) -> tuple[Bits, Bits]:
    """Return p and the exact a·b - p (Dekker)."""
    a1 = a * _SPLIT
    a1 = a1 - (a1 - a)
    b1 = b * _SPLIT
    b1 = b1 - (b1 - b)
    a2, b2 = a - a1, b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _exact_fma(a: float, b: float, c: float, p: float) -> float:
    if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
        return p + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return p + c
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def half_to_double(x: Bits) -> Bits:
    """Return float16 bits as float64."""
    return x.view(np.float16).astype(np.float64)


def double_to_half(x: Bits, mode: str = "rn") -> Bits:
    """Return float64 as float16 bits; NaN becomes 0x7fff."""
    near = x.astype(np.float16)
    if mode == "rz":
        wide = near.astype(np.float64)
        near = np.where(np.abs(wide) > np.abs(x), np.nextafter(near, np.float16(0)), near)
    bits = near.view(np.uint16)
    return np.where(np.isnan(x), _NAN16, bits)


def bfloat_to_double(x: Bits) -> Bits:
    """Return bfloat16 bits as float64."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)


def double_to_bfloat(x: Bits, mode: str = "rn") -> Bits:
    """Return float64 as bfloat16 bits; NaN becomes 0x7fff."""
    truncated = directed32(x, "rz")
    bits = truncated.view(np.uint32) | (truncated.astype(np.float64) != x)
    if mode == "rn":
        bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    result = (bits >> np.uint32(16)).astype(np.uint16)
    result = np.where(np.isinf(x), np.where(x > 0, 0x7F80, 0xFF80), result)
    return np.where(np.isnan(x), _NAN16, result).astype(np.uint16)


WIDEN: dict[str, Callable[[Bits], Bits]] = {
    "f16": half_to_double, "bf16": bfloat_to_double,
    "f32": lambda x: x.astype(np.float64), "f64": lambda x: x,
}  # fmt: skip
