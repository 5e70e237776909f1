"""Zones on a device
=================

Doors to the kernels that score a block, search it and cut it.
"""
