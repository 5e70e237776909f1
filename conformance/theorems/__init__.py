"""Theorems
========

Every property that is proven for a method, as a property test of any port.
"""
