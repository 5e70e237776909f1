"""Bounds of groups
================

How far a correct port's signs and levels may deviate.
"""
