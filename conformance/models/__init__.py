"""Real language models: load, calibrate, quantize block by block, evaluate, save."""
