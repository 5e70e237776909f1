"""Inputs
======

Labeled families of weights and inputs, hypothesis strategies over them, and how they are drawn.
"""
