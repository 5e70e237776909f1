"""Pruning
=======

Which weights stay: importance, N:M masks, budgets of layers, stepwise pruning, and the
optimal removal of several weights.
"""
