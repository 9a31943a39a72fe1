"""Speak OpenAI's chat completions with one server, over the standard library's HTTP.

Turns a request into an iterator of chunks and progress, and an answer that is not one into a typed error.
Knows nothing of IPython. A stream's connection is closed when its iterator is, from every exit.
"""

import http.client
import json
import re
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from jupyter_mlx_gpt_oss.client.connection import Connection
from jupyter_mlx_gpt_oss.client.http_connection import open_http_connection
from jupyter_mlx_gpt_oss.client.sse import SseComment, SseDecoder, SseFrame
from jupyter_mlx_gpt_oss.errors import (
    ClientError,
    ServerNotFoundError,
    ServerResponseError,
    StreamInterruptedError,
)

PROBE_TIMEOUT_SECONDS = 5.0
# The server sends a keep-alive comment long before; this bound is for servers that are not ours.
STALL_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.25
READ_BYTES = 65536
PROGRESS_MARK = "gpt-oss "
MAX_QUOTED_CHARS = 300
_HEADER_VALUE = re.compile(r"[ -~\xa0-\xff]+")

Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the server does before the first token.

    `stage` is downloading, loading, warming_up, queued or prefill; `done` and `total` count its unit (bytes,
    places before this request, prompt tokens), and are None where the server did not say.
    """

    stage: str
    done: int | None = None
    total: int | None = None


class Client:
    """One server, reached anew for each request: nothing stays open between two calls."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def find(cls, places: Iterable[Connection], model: str = "") -> tuple[Self, dict[str, Any]]:
        """Return a client of the first place that serves a model, and the card of that model.

        Args:
            places: to ask, one after the other.
            model: the one to use, where a server has several; empty: see `model_card`.

        Raises:
            ServerNotFoundError: no place answered; the message says what each of them said.
        """
        tried = []
        for place in places:
            client = cls(place)
            try:
                return client, client.model_card(model)
            except ClientError as error:
                tried.append(f"{place.base_url} ({place.source}): {error}")
        found = "; ".join(tried) or "no environment variable and no runtime file of Jupyter names a server"
        raise ServerNotFoundError(
            f"No server with GPT-OSS was found. Tried: {found}. Start one with `jupyter lab` (the extension is "
            "part of it) or `jupyter mlx-gpt-oss`, or name one with `%oss connect URL [KEY]`."
        )

    def model_card(self, model: str = "") -> dict[str, Any]:
        """Return the card of a model: `id`, and from our own server `demo`, `context_length`.

        Args:
            model: its id; where it is empty or not served, the first GPT-OSS is meant, or else the first model.

        Raises: what `model_cards` raises.
        """
        cards = self.model_cards()
        wanted = (card for card in cards if card["id"] == model)
        able = (card for card in cards if "gpt-oss" in card["id"].lower())
        return next(wanted, None) or next(able, cards[0])

    def model_cards(self) -> list[dict[str, Any]]:
        """Return the cards of `GET models`, at least one.

        Raises:
            ServerNotFoundError: nobody answers.
            ServerResponseError: the answer is an error, or not a list of models.
        """
        match self._get("models"):
            case {"data": [{"id": str()}, *_] as cards}:
                return [
                    dict(card) for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)
                ]
        raise ServerResponseError("its /models is not a list of models.", status=200)

    def health(self) -> dict[str, Any]:
        """Return `GET health` of our own server, sick or well; an empty dict from a server that has none.

        Raises:
            ServerNotFoundError: nobody answers.
        """
        try:
            answer = self._get("../health", accepted=(200, 503))
        except ServerResponseError:
            return {}
        return answer if isinstance(answer, dict) and not _is_refusal(answer) else {}

    def chat(self, request: Mapping[str, Any]) -> Generator[Chunk | Progress, None, None]:
        """Stream one chat completion. Close the iterator to stop the generation at once.

        Yields:
            OpenAI's chunks as parsed JSON, and before the first of them progress.

        Raises:
            ServerNotFoundError: nobody answers.
            ServerResponseError: the server refused the request, or sent an error inside the stream.
            StreamInterruptedError: the stream ended before a finish reason.
        """
        body = {**request, "stream": True, "stream_options": {"include_usage": True}}
        with (
            closing(open_http_connection(self.connection.base_url, STALL_TIMEOUT_SECONDS)) as http_connection,
            # A response that ends its connection holds the socket alone; so it is closed by itself.
            self._send(http_connection, "POST", "chat/completions", json.dumps(body).encode()) as response,
        ):
            if response.status != http.client.OK:
                raise _response_error(response)
            yield from _read_chunks(response)

    def load(self, model: str) -> Iterator[dict[str, Any]]:
        """Have our own server load a model, or another one than it has; it is loaded when the iterator ends.

        Yields:
            What `health` says meanwhile, a few times a second. An iterator that is left early ends no loading.

        Raises:
            ServerNotFoundError: nobody answers.
            ServerResponseError: the model cannot be loaded, somebody ended the loading, or the server is not ours.
        """
        pool = ThreadPoolExecutor(1, "gpt-oss load")
        try:
            answer = pool.submit(self._post, "load", {"model": model})
            while wait([answer], POLL_SECONDS).not_done:
                yield self.health()
            is_loading = answer.result().get("state") == "loading"
        finally:
            pool.shutdown(wait=False)  # who leaves early waits for no answer
        while is_loading:
            time.sleep(POLL_SECONDS)
            health = self.health()
            yield health
            state = health.get("state")
            is_loading = state == "loading"
            if not is_loading and state != "ready":
                reason = health.get("error") or f"The loading was ended; the model is {state}."
                raise ServerResponseError(str(reason), status=503)

    def unload(self) -> dict[str, Any]:
        """Have our own server give the model's memory back; the next request loads it again.

        Raises:
            ServerNotFoundError: nobody answers.
            ServerResponseError: the server is not ours.
        """
        return self._post("unload", {})

    def _get(self, route: str, accepted: tuple[int, ...] = (200,)) -> Any:
        with (
            closing(open_http_connection(self.connection.base_url, PROBE_TIMEOUT_SECONDS)) as http_connection,
            self._send(http_connection, "GET", route) as response,
        ):
            if response.status not in accepted:
                raise _response_error(response)
            return _read_json(response)

    def _post(self, route: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(fields).encode()
        with (
            closing(open_http_connection(self.connection.base_url, STALL_TIMEOUT_SECONDS)) as http_connection,
            self._send(http_connection, "POST", route, body) as response,
        ):
            return _read_object(response)

    def _send(
        self, http_connection: http.client.HTTPConnection, method: str, route: str, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        self._request(http_connection, method, route, body)
        return self._response(http_connection)

    def _request(
        self, http_connection: http.client.HTTPConnection, method: str, route: str, body: bytes | None = None
    ) -> None:
        path = urlsplit(self.connection.base_url).path.rstrip("/")
        if route.startswith("../"):
            path, route = path.rpartition("/")[0], route.removeprefix("../")
        headers = {"Accept": "text/event-stream, application/json", "Content-Type": "application/json"}
        if key := self.connection.key.strip():
            if not _HEADER_VALUE.fullmatch(key):  # http.client would quote it, and notebooks are kept
                raise ServerNotFoundError("the key holds characters that no HTTP header can carry.")
            headers["Authorization"] = f"Bearer {key}"
        with self._naming_the_server():
            http_connection.request(method, f"{path}/{route}", body=body, headers=headers)

    def _response(self, http_connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        with self._naming_the_server():
            return http_connection.getresponse()

    @contextmanager
    def _naming_the_server(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ServerNotFoundError(f"no server answers at {self.connection.base_url}: {reason}") from error


def _read_object(response: http.client.HTTPResponse) -> dict[str, Any]:
    if response.status not in {http.client.OK, http.client.ACCEPTED}:
        raise _response_error(response)
    answer = _read_json(response)
    if not isinstance(answer, dict):
        return {}
    if _is_refusal(answer):
        raise _error_from_body(answer, status=response.status)
    return answer


def _is_refusal(answer: Mapping[str, Any]) -> bool:
    """Say whether an answer with status 200 says that there is no such route, as some servers' do."""
    return "error" in answer and "state" not in answer


def _read_json(response: http.client.HTTPResponse) -> Any:
    try:
        return json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerResponseError("its answer is not JSON.", status=response.status) from error


def _read_chunks(response: http.client.HTTPResponse) -> Iterator[Chunk | Progress]:
    has_finish_reason = False
    for item in _read_items(response):
        if isinstance(item, SseComment):
            progress = _progress_from_comment(item.text)
            if progress is not None:
                yield progress
            continue
        if item.data == "[DONE]":
            break
        chunk = _chunk_from_frame(item)
        has_finish_reason |= any(choice.get("finish_reason") for choice in chunk.get("choices") or ())
        yield chunk
    if not has_finish_reason:
        raise StreamInterruptedError("The stream ended before the answer was complete; run the cell again.")


def _read_items(response: http.client.HTTPResponse) -> Iterator[SseFrame | SseComment]:
    decoder = SseDecoder()
    while True:
        try:
            piece = response.read1(READ_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise StreamInterruptedError(f"The connection to the server was lost: {reason}.") from error
        if not piece:
            return
        yield from decoder.feed(piece)


def _progress_from_comment(text: str) -> Progress | None:
    if not text.startswith(PROGRESS_MARK):
        return None
    try:
        found = json.loads(text.removeprefix(PROGRESS_MARK))
    except ValueError:
        return None
    match found:
        case {"stage": str(stage)}:
            return Progress(stage, found.get("done"), found.get("total"))
    return None


def _chunk_from_frame(frame: SseFrame) -> Chunk:
    try:
        chunk = json.loads(frame.data)
    except ValueError as error:
        raise ServerResponseError("The server sent a frame that is not JSON.", status=200) from error
    if not isinstance(chunk, dict):
        raise ServerResponseError("The server sent a frame that is not a JSON object.", status=200)
    if "error" in chunk:
        raise _error_from_body(chunk, status=200)
    return chunk


def _response_error(response: http.client.HTTPResponse) -> ServerResponseError:
    try:
        text = response.read(READ_BYTES).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return _error_from_body(body, status=response.status)
    return ServerResponseError(f"{response.status} {response.reason}", status=response.status)


def _error_from_body(body: Mapping[str, Any], status: int) -> ServerResponseError:
    """Read OpenAI's error body, or Jupyter's `{"message": …}`."""
    match body:
        case {"error": {"message": str(message), **rest}}:
            code = rest.get("code")
            return ServerResponseError(message, status=status, code=code if isinstance(code, str) else None)
        case {"message": str(message)}:
            return ServerResponseError(f"{status} {message}", status=status)
    return ServerResponseError(json.dumps(body)[:MAX_QUOTED_CHARS], status=status)
