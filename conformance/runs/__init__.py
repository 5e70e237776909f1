"""Runs
====

A model from calibration to perplexity: plans, decoder blocks, records, manifests, curves.
"""
