"""Cases of baselines
==================

Layers of the baselines, column by column.
"""
