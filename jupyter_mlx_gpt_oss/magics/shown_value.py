"""Show what a tool gave back as a cell shows the value of its last line: a DataFrame as its table, a figure as itself.

Knows IPython, and Matplotlib's inline backend where the notebook has loaded it.
"""

import sys
from typing import Any

_PLAIN = "text/plain"


def show_value(ip: Any, value: object) -> bool:
    """Show `value` if it has a form that is richer than text, and every figure that is open; say whether it had one.

    Args:
        ip: the shell, whose methods are not annotated.
        value: what a function of the notebook returned.
    """
    rich, _ = ip.display_formatter.format(value, exclude={_PLAIN})
    if rich:
        ip.display_pub.publish(*ip.display_formatter.format(value))
    _show_open_figures(value if rich else None)
    return bool(rich)


def _show_open_figures(shown: object) -> None:
    """Show the figures that pyplot holds, which the inline backend would put below the cell's last line."""
    inline = sys.modules.get("matplotlib_inline.backend_inline")
    pyplot = sys.modules.get("matplotlib.pyplot")
    if inline is None or pyplot is None:
        return
    if isinstance(shown, pyplot.Figure):
        pyplot.close(shown)
    inline.flush_figures()
