"""docs/scaling.md's JupyterHub as it stands there: users' own servers ask the service with their tokens, through the Hub."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.jupyter_hub import Hub, free_port, running_hub
from tests.support.processes import engine_workers

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
ADA, BOB = "ada", "bob"
NUM_MANY, NUM_PLACES = 16, 2
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Count to 5."}],
    "temperature": 0,
    "reasoning_effort": "low",
}


def documented(first_words: str, replaced: dict[str, str]) -> str:
    """Return the page's block of Python that holds some words, with what a test cannot have replaced."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if first_words in block)
    for old, new in replaced.items():
        assert block.count(old) == 1, old
        block = block.replace(old, new)
    return str(block)


def hub_config(port: int) -> str:
    replaced = {
        ":8899": f":{port}",
        "--model=mlx-community/gpt-oss-20b-MXFP4-Q8": "--allow-root",
        "max_requests_per_user=8": f"max_running_requests={NUM_PLACES}",
    }
    return documented("hub_service(", replaced)


def url_of(hub: Hub, user: str) -> str:
    return f"{hub.url}user/{user}/gpt-oss/v1/chat/completions"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("hub")
    with running_hub(home, hub_config(free_port())) as hub:
        hub.wait(lambda: httpx.get(f"{hub.url}services/gpt-oss/health").status_code < 500)
        address = hub.url.removeprefix("http://").removesuffix("/")
        users_config = documented("GptOss.engine_url", {"hub-host:8000": address})
        for user in (ADA, BOB):
            folder = home / user / ".jupyter"
            folder.mkdir(parents=True)
            (folder / "jupyter_server_config.py").write_text(users_config)
            hub.start_server(user)
            hub.wait_for_server(user)
        yield hub


def test_a_users_own_server_is_answered_by_the_service(hub: Hub) -> None:
    for user in (ADA, BOB):
        headers = {"Authorization": f"Bearer {hub.token(user)}"}
        answer = httpx.post(url_of(hub, user), json=QUESTION, headers=headers, timeout=300)
        assert answer.status_code == 200, f"{answer.text}\n{hub.log}"
        assert "1 2 3 4 5" in answer.json()["choices"][0]["message"]["content"]
        assert answer.json()["model"] == "demo"
    assert len(engine_workers(psutil.Process(hub.process.pid))) == 1  # nobody's own


async def test_a_user_with_many_requests_holds_up_no_other(hub: Hub) -> None:
    async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None)) as client:

        async def ended(user: str, content: str) -> float:
            body = {**QUESTION, "messages": [{"role": "user", "content": content}], "max_tokens": 40}
            answer = await client.post(url_of(hub, user), json=body, headers=headers[user])
            assert answer.status_code == 200, answer.text
            return time.perf_counter()

        headers = {user: {"Authorization": f"Bearer {hub.token(user)}"} for user in (ADA, BOB)}
        many = [asyncio.ensure_future(ended(ADA, f"Tell me about {number}.")) for number in range(NUM_MANY)]
        while not any(each.done() for each in many):
            health = await client.get(f"{hub.url}user/{ADA}/gpt-oss/health", headers=headers[ADA])
            if health.json()["active_requests"] == NUM_MANY:
                break
            await asyncio.sleep(0.05)  # the processor is theirs
        bobs_end = await ended(BOB, "Count to 5.")
        before = [end for end in await asyncio.gather(*many) if end < bobs_end]
    # By arrival it would be begun when no more of them are left than there are places.
    assert len(before) < NUM_MANY / 2
