"""Where the state spaces lie in the 64-bit address space."""

GLOBAL_START = 0x7000_0000_0000
GLOBAL_STEP = 1 << 36
SHARED_WINDOW = 0x0100_0000_0000
LOCAL_WINDOW = 0x0200_0000_0000
WINDOW_SIZE = 1 << 32


def window_of(address: int) -> str:
    """Return the space that a generic address lies in.

    Parameters
    ----------
    address : int
        A generic address.

    Returns
    -------
    str
        "shared", "local" or "global" (also for stray ones).

    Examples
    --------
    >>> window_of(SHARED_WINDOW + 16)
    'shared'
    """
    for name, start in (("shared", SHARED_WINDOW), ("local", LOCAL_WINDOW)):
        if start <= address < start + WINDOW_SIZE:
            return name
    return "global"
