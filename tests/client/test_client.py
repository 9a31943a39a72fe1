import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.client.client import Client, Progress
from jupyter_mlx_gpt_oss.client.connection import Connection
from jupyter_mlx_gpt_oss.client.http_connection import open_http_connection
from jupyter_mlx_gpt_oss.errors import ServerNotFoundError, ServerResponseError, StreamInterruptedError
from tests.support.canned_server import DROP, HOLD, KEY, CannedServer, answer, delta, ending, frame, progress

REQUEST = {"model": "canned", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def closed_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/gpt-oss/v1"


def test_chunks_arrive_in_order(client: Client, server: CannedServer) -> None:
    server.play([delta(content="Hel"), delta(content="lo"), ending()])

    chunks = [item for item in client.chat(REQUEST) if isinstance(item, dict)]

    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:3]] == ["Hel", "lo", None]
    assert chunks[3]["usage"]["completion_tokens"] == 12


def test_a_request_is_streamed_with_usage_and_key(client: Client, server: CannedServer) -> None:
    server.play(answer("Hi"))

    list(client.chat(REQUEST))

    assert server.requests == [{**REQUEST, "stream": True, "stream_options": {"include_usage": True}}]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_progress_comes_before_the_first_token(client: Client, server: CannedServer) -> None:
    comments = [progress(stage="queued", done=2, total=2), ": keep-alive\n\n", ": gpt-oss nonsense\n\n"]
    server.play([*comments, progress(stage="loading"), *answer("Hi")])

    items = list(client.chat(REQUEST))

    assert items[:2] == [Progress("queued", 2, 2), Progress("loading")]
    assert isinstance(items[2], dict)


def test_an_error_frame_is_an_error(client: Client, server: CannedServer) -> None:
    server.play(
        [delta(content="Hel"), frame({"error": {"message": "the engine died", "code": "engine_dead"}})]
    )

    with pytest.raises(ServerResponseError, match="the engine died") as caught:
        list(client.chat(REQUEST))

    assert caught.value.response_code == "engine_dead"


def test_a_refusal_carries_status_and_code(client: Client, server: CannedServer) -> None:
    server.refuse(429, {"error": {"message": "The queue is full.", "code": "rate_limit_exceeded"}})

    with pytest.raises(ServerResponseError, match=r"The queue is full\.") as caught:
        list(client.chat(REQUEST))

    assert (caught.value.response_status, caught.value.response_code) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("script", [[delta(content="Hel"), DROP], [delta(content="Hel"), "data: [DONE]\n\n"]])
def test_a_stream_without_a_finish_reason_is_interrupted(
    client: Client, server: CannedServer, script: list[object]
) -> None:
    server.play(script)

    with pytest.raises(StreamInterruptedError):
        list(client.chat(REQUEST))


@pytest.mark.parametrize("data", ["data: {\n\n", "data: 5\n\n"])
def test_a_frame_that_is_no_chunk_is_an_error(client: Client, server: CannedServer, data: str) -> None:
    server.play([data])

    with pytest.raises(ServerResponseError, match="frame that is not"):
        list(client.chat(REQUEST))


def test_closing_the_stream_closes_the_connection(client: Client, server: CannedServer) -> None:
    server.play([delta(content="Hel"), HOLD])

    with closing(client.chat(REQUEST)) as stream:
        next(stream)

    assert server.client_gone.wait(5)


def test_the_first_place_that_serves_a_model_is_taken(server: CannedServer, closed_port_url: str) -> None:
    places = [
        Connection(closed_port_url, KEY),
        Connection(server.url, "wrong"),
        Connection(server.url.replace("gpt-oss", "other"), KEY),
        Connection(server.url, KEY, "the right one"),
    ]

    client, card = Client.find(places)

    assert client.connection.source == "the right one"
    assert card["id"] == "canned"


def test_when_no_place_answers_the_error_says_what_each_said(
    server: CannedServer, closed_port_url: str
) -> None:
    with pytest.raises(ServerNotFoundError) as caught:
        Client.find([Connection(closed_port_url, KEY), Connection(server.url, "wrong", "a file")])

    message = str(caught.value)
    assert "refused" in message
    assert f"{server.url} (a file): Incorrect API key." in message
    assert "jupyter lab" in message
    assert "\n" not in message


@pytest.mark.parametrize("url", ["", "ftp://h/v1", "http://h:port/v1", "http:///v1", "nonsense"])
def test_what_is_no_url_is_no_server(url: str) -> None:
    with pytest.raises(ServerNotFoundError):
        Client(Connection(url)).model_card()


@pytest.mark.parametrize(
    ("url", "port"), [("http://[::1]/v1", 80), ("https://[fe80::ab]/v1", 443), ("http://[::1]:8888/v1", 8888)]
)
def test_an_ipv6_address_needs_no_port(url: str, port: int) -> None:
    connection = open_http_connection(url, 1.0)

    assert (f"[{connection.host}]" in url, connection.port) == (True, port)


def test_a_chunk_without_choices_is_passed_on(client: Client, server: CannedServer) -> None:
    server.play([frame({"choices": None}), *answer("Hi")])

    assert next(client.chat(REQUEST)) == {"choices": None}


def test_a_key_that_no_header_can_carry_is_no_crash(server: CannedServer) -> None:
    with pytest.raises(ServerNotFoundError) as caught:
        Client(Connection(server.url, "sk-sec\x00ret")).model_card()
    assert "ret" not in str(caught.value)  # notebooks are kept and shared


def test_blanks_around_a_key_are_not_sent(server: CannedServer) -> None:
    assert Client(Connection(server.url, f" {KEY}\n")).model_card()


def test_an_error_with_status_200_is_no_answer_of_ours(server: CannedServer, client: Client) -> None:
    """Some servers answer every route so."""
    server.odd_answer = {"error": "Unexpected endpoint"}
    assert client.health() == {}
    with pytest.raises(ServerResponseError, match="Unexpected endpoint"):
        list(client.load("demo"))
    with pytest.raises(ServerResponseError, match="Unexpected endpoint"):
        client.unload()


def test_health(client: Client, server: CannedServer) -> None:
    assert client.health()["state"] == "ready"
    assert Client(Connection(server.url.replace("gpt-oss", "other"), KEY)).health() == {}


@pytest.fixture
def unix_server(tmp_path: Path) -> Iterator[str]:
    """A server on a unix socket that answers one request with a list of models."""
    path = tmp_path / "server.sock"
    body = b'{"data": [{"id": "canned"}]}'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http+unix://{str(path).replace('/', '%2F')}/gpt-oss/v1"
        thread.join()


def test_a_unix_socket_is_a_server_too(unix_server: str) -> None:
    assert Client(Connection(unix_server, KEY)).model_card() == {"id": "canned"}


def test_a_unix_socket_without_a_server_is_no_server(tmp_path: Path) -> None:
    url = f"http+unix://{str(tmp_path / 'none.sock').replace('/', '%2F')}/gpt-oss/v1"

    with pytest.raises(ServerNotFoundError):
        Client(Connection(url)).model_card()


def test_a_model_that_cannot_be_loaded_is_an_error(server: CannedServer, client: Client) -> None:
    server.health.append({"state": "failed", "error": "No such model."})
    with pytest.raises(ServerResponseError, match="No such model"):
        list(client.load("demo"))


def test_a_loading_that_somebody_ends_is_no_loaded_model(server: CannedServer, client: Client) -> None:
    server.health += [{"state": "loading"}, {"state": "loading"}, {"state": "unloaded"}]
    with pytest.raises(ServerResponseError, match="ended; the model is unloaded"):
        list(client.load("demo"))


def test_health_is_told_while_a_server_has_not_answered(server: CannedServer, client: Client) -> None:
    server.may_load.clear()
    server.health += [{"state": "loading"}, {"state": "ready"}]
    told = client.load("demo")
    assert next(told)["state"] == "loading"
    server.may_load.set()
    assert [health["state"] for health in told][-1] == "ready"


def test_a_model_is_loaded_and_unloaded(server: CannedServer, client: Client) -> None:
    server.health += [{"state": "loading"}, {"state": "loading"}, {"state": "ready"}]
    assert [health["state"] for health in client.load("demo")][-2:] == ["loading", "ready"]
    assert client.unload() == {"state": "unloaded"}
    assert server.loaded == ["demo", None]
