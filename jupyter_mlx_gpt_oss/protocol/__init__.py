"""OpenAI's wire types: bytes of a request to checked values, and answers to bytes. No tokens, no HTTP."""
