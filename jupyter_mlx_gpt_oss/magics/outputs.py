"""The outputs of a cell, as Jupyter's display messages make and update them, and which of them a segment has.

Knows Jupyter's messages, and nothing of IPython. However long a segment has grown, an update of it sends a bounded
amount: an answer goes on in a new output after each page, and of anything else that grows only the end is shown.
"""

from collections.abc import Callable
from uuid import uuid4

from jupyter_mlx_gpt_oss.magics.growing_markdown import presentable
from jupyter_mlx_gpt_oss.magics.markdown import markdown_to_html
from jupyter_mlx_gpt_oss.magics.pages import Pages
from jupyter_mlx_gpt_oss.magics.render_html import json_to_html, segment_to_html
from jupyter_mlx_gpt_oss.magics.render_text import segment_to_text, visible, whole_characters
from jupyter_mlx_gpt_oss.magics.segments import Segment, TextSegment


class Output:
    """One output of the cell: made once, updated until what it shows is finished.

    Args:
        publish: IPython's `DisplayPublisher.publish`.
    """

    def __init__(self, publish: Callable[..., None]) -> None:
        self._publish = publish
        self._display_id = ""
        self._shown = ("", "")

    def put(self, html: str, text: str) -> None:
        """Show this, given as HTML and as text, in the place of what was here; nothing happens if it is the same."""
        if (html, text) == self._shown:
            return
        display_id = self._display_id or uuid4().hex
        bundle = {"text/html": whole_characters(html), "text/plain": visible(text)}  # a console prints it
        self._publish(bundle, transient={"display_id": display_id}, update=bool(self._display_id))
        # After publishing: what Ctrl-C has kept from the page is put again, as new if it was.
        self._display_id, self._shown = display_id, (html, text)


class SegmentOutputs:
    """What shows one segment: an output for each page of an answer, one for anything else.

    Args:
        new_output: gives the output below all others.
        is_json: an answer is JSON, and no Markdown.
    """

    def __init__(self, new_output: Callable[[], Output], *, is_json: bool = False) -> None:
        self._new_output = new_output
        self._is_json = is_json
        self._outputs: list[Output] = []
        self._pages = Pages()
        self._shown: Segment | None = None
        self._is_growing = False

    def put(self, segment: Segment, *, is_growing: bool) -> None:
        """Show the segment; what is shown already is not touched.

        Args:
            segment: with at least the text that it had in the last call.
            is_growing: whether the model is still writing it.
        """
        if self._shown is segment and self._is_growing == is_growing:
            return
        try:
            self._put_pages(segment, is_growing=is_growing)
        except BaseException:
            # Ctrl-C: the next call puts every page again.
            self._pages, self._shown = Pages(), None
            raise
        self._shown, self._is_growing = segment, is_growing

    def _put_pages(self, segment: Segment, *, is_growing: bool) -> None:
        if isinstance(segment, TextSegment):
            pages = self._pages.update(segment.text)
            if is_growing and not self._is_json:
                number, page = pages.pop()
                pages.append((number, presentable(page)))
            for number, page in pages:
                self._put(number, json_to_html(page) if self._is_json else markdown_to_html(page), page)
        else:
            html = segment_to_html(segment, is_growing=is_growing)
            self._put(0, html, segment_to_text(segment, is_growing=is_growing))

    def _put(self, number: int, html: str, text: str) -> None:
        if number == len(self._outputs):
            self._outputs.append(self._new_output())
        self._outputs[number].put(html, text)
