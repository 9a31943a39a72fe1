"""`%%oss` and `%oss`: chunks become a transcript, a transcript becomes HTML or text, and a cell shows it.

Knows IPython and the client. Runs in the kernel, where MLX is never imported.
"""
