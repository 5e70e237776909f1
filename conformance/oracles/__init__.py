"""Oracles
=======

Second readings for the theorems: naive ones of whole methods, exact ones in rational numbers,
measures, and the rule for decisions left to rounding.
"""
