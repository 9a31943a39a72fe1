"""The kernel's side of the wire: find the notebook server, speak OpenAI's chat completions with it.

Knows HTTP and server-sent events. Knows nothing of IPython, of display or of the model.
"""
