"""Zones
=====

How a block is taken apart: scores, salient columns, cuts by magnitude, three regions,
column groups, and the running sums that make the searches fast.
"""
