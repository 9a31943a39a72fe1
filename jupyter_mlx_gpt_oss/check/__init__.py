"""The engine tested on the machine it shall run on: a model's name to a verdict and a report.

Goes through the engine's public door alone, with token ids and no text. Knows no HTTP, no Harmony and no MLX.
"""
