"""Cases of pruning
================

Scores, masks, budgets, removal and stepwise pruning.
"""
