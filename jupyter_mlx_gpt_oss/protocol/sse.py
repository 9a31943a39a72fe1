"""Frames of a server-sent event stream, as bytes. Knows no event's meaning.

Source: WHATWG HTML, 9.2.6 (a line that starts with a colon is a comment and is ignored by every client).
"""

CONTENT_TYPE = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
"""OpenAI's last frame of a stream that ended well."""


def data_frame(data: str, event: str | None = None) -> bytes:
    """Return a frame of one `data:` line, below an `event:` line if it has a name; `data` is JSON in one line."""
    assert "\n" not in data
    assert "\r" not in data
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def comment_frame(text: str) -> bytes:
    """Return a comment: it keeps a connection open and tells whoever looks for it, and clients ignore it."""
    assert "\n" not in text
    assert "\r" not in text
    return f": {text}\n\n".encode()
