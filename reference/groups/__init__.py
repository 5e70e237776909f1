"""Groups
======

How a group of weights becomes signs and levels: residual steps, alternating refinement on
weights and on outputs, row and column scales, joint fits.
"""
