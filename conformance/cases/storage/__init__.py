"""Cases of storage
================

Patterns and bit counts.
"""
