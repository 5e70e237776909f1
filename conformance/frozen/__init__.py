"""Cases in files: what a port is asked, what is correct, and how to compare.

:mod:`~subbit.conformance.frozen.record` runs a case and keeps what was asked and compared,
``make`` writes it, ``tree`` reads it, ``lint`` checks it, and ``outputs`` is a port that answers
from files.
"""
