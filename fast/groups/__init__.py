"""Groups on a device
==================

Doors to the kernels that binarize a group and refine it.
"""
