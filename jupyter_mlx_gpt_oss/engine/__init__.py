"""The door to the model, on Jupyter's side: tokens in, tokens out. No text, no Harmony, no MLX."""
