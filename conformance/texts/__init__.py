"""Texts
=====

Texts for calibration and evaluation.
"""
