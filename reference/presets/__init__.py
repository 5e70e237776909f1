"""Presets
=======

The configuration of each method and its presets: the paper's text, the authors' code, and
what the method's own derivation asks for.
"""
