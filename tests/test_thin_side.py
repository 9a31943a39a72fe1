"""A notebook server whose engine is elsewhere: it serves where MLX cannot be imported."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from tests.support.checking_proxy import checking_proxy
from tests.support.scripted_engine import ScriptedEngine
from tests.support.strict_completions_server import MODEL, strict_server

ROOT = Path(__file__).parents[1]
ONLY_WITH_A_MODEL = {"mlx", "mlx-lm", "llguidance"}
WITHOUT_MLX = """
import sys
class NoMlx:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mlx", "mlx_lm", "llguidance", "transformers", "torch"}:
            raise ImportError(f"{name} is not there on this machine")
sys.meta_path.insert(0, NoMlx())
from jupyter_mlx_gpt_oss.app import GptOss
GptOss.launch_instance()
"""


async def test_chat_tools_and_health_work_without_mlx(tmp_path: Path) -> None:
    behind = ScriptedEngine(EngineConfig())
    behind.enqueue(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    )
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    async with strict_server(behind, key="sk-far") as far:
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            WITHOUT_MLX,
            "--allow-root",
            "--port=0",
            f"--engine-url={far.url}",
            "--GptOssRemote.key=sk-far",
            "--GptOss.api_key=sk-near",
            env={**os.environ, **{home: str(tmp_path / home) for home in homes}},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            url = await _address(server)
            await _chat(url, behind)
        finally:
            server.terminate()
            await server.communicate()
        assert far.refusals == []
    assert server.returncode == 0


async def _address(server: asyncio.subprocess.Process) -> str:
    assert server.stderr is not None
    seen = ""
    async for line in server.stderr:
        seen += line.decode()
        if match := re.search(r"answers at (http://\S+/gpt-oss/v1)$", seen, flags=re.MULTILINE):
            return match.group(1)
    raise AssertionError(seen)


async def _chat(url: str, behind: ScriptedEngine) -> None:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer sk-near"}, timeout=60) as client:
        message = {"role": "user", "content": "Hello"}
        answer = await client.post(f"{url}/chat/completions", json={"messages": [message]})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["model"] == MODEL
        assert body["choices"][0]["message"]["content"] == "Hi"
        assert body["choices"][0]["message"]["reasoning"] == "Hm."
        assert body["usage"]["completion_tokens"] == len(behind.requests) * 13
        schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
        held = await client.post(
            f"{url}/chat/completions", json={"messages": [message], "response_format": schema}
        )
        assert held.status_code == 200, held.text
        health = await client.get(f"{url.removesuffix('/v1')}/health")
        assert json.loads(health.text)["state"] == "ready"


def test_the_documented_list_for_machines_without_mlx_has_all_else() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (program,) = re.findall(r'^python -c "(.*?)" > thin.txt$', page, re.DOTALL | re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert _names(done.stdout.splitlines()) == _names(project["dependencies"]) - ONLY_WITH_A_MODEL


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", each, maxsplit=1)[0].replace("_", "-") for each in requirements}


async def test_what_vllm_would_refuse_ends_a_test_that_runs_through_the_checking_proxy() -> None:
    sent: dict[str, Any] = {"model": MODEL, "prompt": [1, 2], "max_tokens": 4, "stream": True}
    behind = ScriptedEngine(EngineConfig())
    async with strict_server(behind) as far, httpx.AsyncClient() as client:
        with (  # noqa: PT012  the proxy tells at its end
            pytest.raises(AssertionError, match="refused: best_of is no documented field"),
            checking_proxy(far.url) as url,
        ):
            card = (await client.get(f"{url}/models")).json()["data"][0]
            assert (card["id"], card["owned_by"]) == (MODEL, "vllm")
            assert (await client.post(f"{url}/completions", json=_whole(sent))).status_code == 200
            refused = await client.post(f"{url}/completions", json={**sent, "best_of": 2})
            assert refused.status_code == 400
    assert far.refusals == []
    assert len(far.bodies) == 1


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with every field that the stand-in reads."""
    numbers = dict.fromkeys(("temperature", "top_p", "repetition_penalty"), 1.0)
    zeros = dict.fromkeys(("min_p", "presence_penalty", "frequency_penalty"), 0.0)
    return {**body, **numbers, **zeros, "stop_token_ids": [], "request_id": "one"}
