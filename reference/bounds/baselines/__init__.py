"""Bounds of baselines
===================

How far a correct port's grids, levels and pruning scores may deviate.
"""
