"""Studies
=======

Measurements of what a paper claims.
"""
