"""Cases of groups
===============

Binarization and refinement, judged by half steps and as a whole.
"""
