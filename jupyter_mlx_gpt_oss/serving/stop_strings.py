"""Cut text at the first stop string, across the pieces in which it arrives. Knows no tokens and no channels."""

from collections.abc import Sequence


class StopStrings:
    """Holds back the end of the text for as long as it may be the beginning of a stop string.

    The text given out, joined, is the text given in up to the stop string that is complete first, which is left
    out; so the pieces in which the text arrives make no difference.
    """

    def __init__(self, stop_strings: Sequence[str]) -> None:
        self._stop_strings = tuple(stop_strings)
        self._held = ""
        self.matched: str | None = None
        """The stop string that ended the text."""

    @property
    def is_matched(self) -> bool:
        """Whether the text is over."""
        return self.matched is not None

    def feed(self, text: str) -> str:
        """Take the next piece, and return what is surely before any stop string."""
        if self.is_matched:
            return ""
        text = self._held + text
        matches = [(at + len(stop), at, stop) for stop in self._stop_strings if (at := text.find(stop)) >= 0]
        if matches:
            _, end, self.matched = min(matches)
            self._held = ""
            return text[:end]
        num_held = max((self._overlap(text, stop) for stop in self._stop_strings), default=0)
        split = len(text) - num_held
        self._held = text[split:]
        return text[:split]

    def flush(self) -> str:
        """Return what was held back: the text goes on no further."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        lengths = range(min(len(stop) - 1, len(text)), 0, -1)
        return next((length for length in lengths if text.endswith(stop[:length])), 0)
