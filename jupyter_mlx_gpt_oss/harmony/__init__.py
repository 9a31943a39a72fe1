"""Messages to tokens and tokens to events, in OpenAI's Harmony format. No I/O, no HTTP, no MLX.

Source: openai/harmony docs/format.md.
"""
