"""Baselines on a device
=====================

Doors to the kernels of the baselines.
"""
