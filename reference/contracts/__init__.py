"""Contracts
=========

The arguments of public functions, declared once: their kinds, and the door that checks them.
"""
