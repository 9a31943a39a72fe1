"""The engine process, the only room of MLX: commands in, reports out.

Started as `python -m jupyter_mlx_gpt_oss.worker FD`; nothing imports it. MLX runs on its main thread alone, loading and
warm-up included: since mlx 0.31.2 a stream belongs to the thread that made it.

Shapes: B rows of a step that sample, N tokens of a step, C candidate tokens, V the vocabulary, H the hidden size,
D the head size.
"""
