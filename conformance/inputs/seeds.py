"""Seeds
=====

A seed follows from words, so every machine draws the same.
"""

from hashlib import blake2b


def seed_of(*words: object) -> int:
    """Return the seed for some words, the same one everywhere.

    Parameters
    ----------
    *words : object
        Names and numbers.

    Returns
    -------
    int
        From 0 to 2³² - 1.

    Examples
    --------
    >>> seed_of("masked_mean", 5), seed_of("masked_mean", 6)
    (2623704365, 1710588856)
    """
    text = "/".join(map(str, words)).encode()
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big")
