"""Baselines
=========

Round-to-nearest, GPTQ, Wanda, SparseGPT and PB-LLM, which return the same kind of record.
"""
