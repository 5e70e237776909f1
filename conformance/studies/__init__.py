"""Studies
=======

Measurements of claims in papers.
"""
