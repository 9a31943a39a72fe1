"""Single tokens as text, for people: control tokens have their names, and a piece of a character is U+FFFD."""

from functools import cache

from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes


def token_name(token_id: int) -> str:
    """Return a token of the vocabulary as text."""
    text = token_bytes()[token_id]
    return text.decode(errors="replace") if text else control_name(token_id)


def control_name(token_id: int) -> str:
    """Return the name of a token that is no text."""
    return _control_names().get(token_id, f"<|reserved_{token_id}|>")


@cache
def _control_names() -> dict[int, str]:
    return {token_id: name for name, token_id in SPECIAL_TOKENS.items()}
