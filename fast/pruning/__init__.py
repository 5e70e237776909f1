"""Pruning on a device
===================

Doors to the kernels that prune.
"""
