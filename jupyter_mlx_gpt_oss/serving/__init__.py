"""Joins protocol, harmony and engine: a checked request to chunks. No HTTP, no pydantic model of its own."""
