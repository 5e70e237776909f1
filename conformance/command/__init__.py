"""The command
===========

The command line of ``subbit``.
"""
