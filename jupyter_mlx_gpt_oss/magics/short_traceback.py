"""An exception as the model reads it: its traceback without IPython's frames and without paths of cells. Pure."""

import traceback
from pathlib import Path

MAX_FRAMES = 6
_OWN_PACKAGES = ("IPython", "ipykernel", "jupyter_mlx_gpt_oss")


def short_traceback(error: BaseException) -> str:
    """Return Python's traceback from the first frame of the user's on; of many frames the first and the last.

    A cell, which is a file to Python, is named `<cell>`. Notes and the text of a syntax error are kept, causes are not.
    """
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _OWN_PACKAGES
    ]
    summary = traceback.StackSummary.extract(iter(frames))
    entries = traceback.format_list(summary)
    if len(entries) > MAX_FRAMES:
        num_left_out = len(entries) - MAX_FRAMES
        entries[1 : num_left_out + 1] = [f"  … {num_left_out} frames …\n"]
    head = ["Traceback (most recent call last):\n"] if entries else []
    text = "".join([*head, *entries, *traceback.format_exception_only(error)]).rstrip("\n")
    files = {entry.filename for entry in summary}
    if isinstance(error, SyntaxError) and error.filename:
        files.add(error.filename)
    for name in files:
        if not Path(name).is_file():
            text = text.replace(f'File "{name}"', 'File "<cell>"')
    return text
