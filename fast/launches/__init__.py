"""Launches
========

Modules that exist only for launching kernels: arrays of a device, launch shapes, states of a
group, data fetched at the end. None of them is a door.
"""
