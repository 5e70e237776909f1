"""Contracts
=========

What public functions take, declared once: the kinds of arguments, and the door that checks them.
"""
