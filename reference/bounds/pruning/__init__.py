"""Bounds of pruning
=================

How far a correct port's scores and moved weights may deviate, and which masks rounding
may produce.
"""
