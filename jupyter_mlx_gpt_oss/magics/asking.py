"""Ask the user whether something may be done. Knows how a shell takes input, and nothing of tools."""

from IPython.core.error import StdinNotImplementedError

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.render_text import visible


def is_allowed_by_user(question: str, *, who: str, advice: str) -> bool:
    """Ask a question; no answer is no.

    Args:
        question: without its end.
        who: what wants to ask, for the error.
        advice: how to go on without asking.

    Raises:
        MagicUsageError: the front end takes no input.
    """
    try:
        reply = input(f"{visible(question)} [y/N] ")
    except (EOFError, StdinNotImplementedError):
        raise MagicUsageError(f"{who}: nobody can be asked here. {advice}") from None
    return reply.strip().lower() in {"y", "yes"}
