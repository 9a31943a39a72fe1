"""Send thousands of hostile requests to a real server, and judge every answer.

    python -m benchmarks.hostile_requests [--count 5000] [--seed 0]

Each must be answered with 2xx, or refused with 4xx in OpenAI's shape that names the field which was made hostile; never
5xx. The engine is scripted, in a real `jupyter server`, and writes down the control tokens of each prompt: a request whose
texts spell control tokens must make the same ones as its twin, whose texts spell none. Between them the server answers good
requests. What is wrong is printed. Exits with 1 if anything is.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from jupyter_mlx_gpt_oss.vocabulary import token_bytes
from tests.support.hostile_requests import HostileRequest, good_requests, hostile_requests
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process
from tests.support.recording_engine import RECORD

_ROOT = Path(__file__).parent.parent
_GOOD_EVERY = 100
_NO_ANSWER = 599
_TIMEOUT_SECONDS = 120.0
# Where one field depends on another, the refusal may name that one.
_DEPENDENTS = {
    "messages": {"tool_choice", "prompt"},
    "input": {"tool_choice"},
    "tools": {"tool_choice", "messages"},
    "functions": {"tool_choice", "function_call"},
    "function_call": {"tool_choice"},
    "tool_choice": {"function_call"},
    "logprobs": {"top_logprobs"},
    "n": {"best_of", "prompt"},
    "model": {"model_id"},
    "structured_outputs": {"response_format"},
}


@dataclass(slots=True)
class Tally:
    """What came of all requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    num_prompts: int = 0
    """Prompts that reached the engine, or were asked for as tokens."""
    num_twins: int = 0
    """Requests that spell control tokens, were answered, and made the same prompts as their twins in number and shape."""
    num_control_tokens: int = 0
    """Control tokens that a client's text put into a prompt."""
    faults: list[str] = field(default_factory=list)


@contextmanager
def recording_server(home: Path) -> Iterator[tuple[JupyterProcess, Path]]:
    """Run a server whose engine writes down its prompts; yield it with the file."""
    record = home / "prompts.jsonl"
    engine = "tests.support.recording_engine.RecordingEngine"
    home.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(RECORD, str(record))
        environment.setenv("PYTHONPATH", str(_ROOT), prepend=os.pathsep)
        with jupyter_process(home, "server", "--port=0", f"--GptOss.engine_class={engine}") as server:
            record.touch()
            yield server, record


class Attacker:
    """Sends requests one after the other.

    Args:
        server: that is attacked.
        record: what its engine writes.
    """

    def __init__(self, server: JupyterProcess, record: Path) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.tally = Tally()
        self._client = httpx.Client(base_url=server.url, headers=headers, timeout=_TIMEOUT_SECONDS)
        self._record = record.open(encoding="ascii")

    def run(self, requests: Iterable[HostileRequest]) -> Tally:
        """Send all, and good ones between them."""
        with self._client, self._record:
            self._send_good()
            for index, request in enumerate(requests, start=1):
                self._send_hostile(request)
                if index % _GOOD_EVERY == 0:
                    self._send_good()
        return self.tally

    def _send_good(self) -> None:
        for request in good_requests():
            response, _ = self._send(request)
            if response.status_code != httpx.codes.OK:
                self.tally.faults.append(
                    f"good request {request.what}: {response.status_code} {response.text[:300]}"
                )

    def _send_hostile(self, request: HostileRequest) -> None:
        response, prompts = self._send(request)
        self.tally.statuses[response.status_code] += 1
        self.tally.num_prompts += len(prompts)
        fault = _fault(request, response)
        if fault is not None:
            self.tally.faults.append(f"{request.what}: {response.status_code} {fault}: {response.text[:300]}")
        twin = request.twin
        if twin is not None and prompts:
            _, innocent = self._send(twin)
            self.tally.num_twins += prompts == innocent
            if prompts != innocent:
                self.tally.num_control_tokens += abs(_size(prompts) - _size(innocent)) or 1
                self.tally.faults.append(f"{request.what}: a prompt unlike its twin's")

    def _send(self, request: HostileRequest) -> tuple[httpx.Response, list[list[int]]]:
        try:
            response = self._client.request(request.method, request.path, content=request.body)
        except httpx.TransportError as error:
            response = httpx.Response(_NO_ANSWER, text=repr(error))
        prompts = [json.loads(line) for line in self._record]
        if request.path.endswith("v1/tokenize") and response.is_success:
            prompts.append(
                [token_id for token_id in response.json()["tokens"] if not token_bytes()[token_id]]
            )
        return response, prompts


def _fault(request: HostileRequest, response: httpx.Response) -> str | None:
    """Say what is wrong with an answer; None: nothing."""
    if response.is_success:
        return "ends with an error" if b'data: {"error"' in response.content else None
    if not response.is_client_error:
        return "no refusal"
    try:
        error = response.json()["error"]
        param, code = error["param"], error["code"]
        _ = error["message"], error["type"]
    except (ValueError, KeyError, TypeError):
        return "no error of OpenAI's shape"
    must_name = request.field is not None and code in {"invalid_request_error", "unsupported_parameter"}
    return None if not must_name or _is_named(request.field or "", param) else "does not name the field"


def _is_named(field_name: str, param: str | None) -> bool:
    if param is None:
        return False
    top = re.split(r"[\[.]", param)[0]
    # A key that is no word may be shown in part.
    return top == field_name or top in _DEPENDENTS.get(field_name, ()) or not field_name.isidentifier()


def _size(prompts: list[list[int]]) -> int:
    return sum(map(len, prompts))


def main() -> None:
    """Attack, and print what came of it."""
    parser = argparse.ArgumentParser(description="Hostile requests to a real server.")
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home, recording_server(Path(home)) as (server, record):
        tally = Attacker(server, record).run(hostile_requests(arguments.seed, arguments.count))
        num_tracebacks = server.log.count("Traceback")
    for fault in tally.faults:
        print(fault)
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(tally.statuses.items()))
    print(f"{arguments.count} requests in {time.perf_counter() - start:.0f} s: {statuses}")
    print(
        f"{tally.num_prompts} prompts reached the engine; {tally.num_twins} that spell control tokens are as their twins"
    )
    print(
        f"control tokens of the client's in prompts: {tally.num_control_tokens}; tracebacks in the log: {num_tracebacks}"
    )
    print(f"faults: {len(tally.faults)}")
    sys.exit(bool(tally.faults or num_tracebacks))


if __name__ == "__main__":
    main()
