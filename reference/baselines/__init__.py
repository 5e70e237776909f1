"""Baselines
=========

Round-to-nearest, GPTQ, Wanda, SparseGPT and PB-LLM, which answer with the same record.
"""
