"""The command
===========

What ``subbit`` does on the command line.
"""
