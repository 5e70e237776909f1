"""Pruning
=======

Which weights stay: importance, N:M masks, layer budgets, stepwise pruning, and the optimal
removal of several weights.
"""
