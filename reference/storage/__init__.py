"""Storage
=======

What a record costs and how it is written: the bits of the papers' formulas, bits counted
from the record, patterns as numbers, and the file format.
"""
