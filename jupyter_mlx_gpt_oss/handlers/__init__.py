"""HTTP: Jupyter's access, bytes in, bytes out. Errors become OpenAI's bodies here, and only here."""
