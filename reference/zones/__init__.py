"""Zones
=====

How a block is partitioned: scores, salient columns, cuts by magnitude, three regions,
column groups, and the running sums that make the searches fast.
"""
