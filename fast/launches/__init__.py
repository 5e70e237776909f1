"""Launches
========

What exists only for launching kernels: arrays of a device, launch shapes, states of a group,
what is fetched at the end. No door is here.
"""
