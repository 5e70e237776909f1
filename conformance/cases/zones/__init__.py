"""Cases of zones
==============

Searches, cuts and column groups.
"""
