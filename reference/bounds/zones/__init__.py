"""Bounds of zones
===============

How far a correct port's scores, thresholds and objectives may deviate.
"""
