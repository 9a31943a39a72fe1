import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.client.connection import (
    Connection,
    discovered_connections,
    explicit_connections,
    read_kept_key,
)
from jupyter_mlx_gpt_oss.handlers.api_key import load_or_create_key


def write_runtime_file(directory: Path, name: str, **info: object) -> None:
    (directory / name).write_text(json.dumps(info), encoding="utf-8")


def test_the_environment_comes_first(tmp_path: Path) -> None:
    write_runtime_file(tmp_path, "jpserver-7.json", url="http://127.0.0.1:9999/", token="t")
    environ = {"JUPYTER_MLX_GPT_OSS_URL": "http://h/gpt-oss/v1/", "JUPYTER_MLX_GPT_OSS_KEY": "k"}

    urls = [place.base_url for place in discovered_connections(environ, tmp_path)]

    assert urls == ["http://h/gpt-oss/v1", "http://127.0.0.1:9999/gpt-oss/v1"]


def test_the_server_of_this_kernel_comes_before_others(tmp_path: Path) -> None:
    for pid in (1, 2, 3):
        write_runtime_file(tmp_path, f"jpserver-{pid}.json", url=f"http://h:{pid}/user/ada/", token=f"t{pid}")
        os.utime(tmp_path / f"jpserver-{pid}.json", (pid, pid))

    places = list(discovered_connections({"JPY_PARENT_PID": "2"}, tmp_path))

    assert [place.key for place in places] == ["t2", "t3", "t1"]
    assert places[0].base_url == "http://h:2/user/ada/gpt-oss/v1"


def test_a_server_without_a_token_is_opened_with_the_hub_token(tmp_path: Path) -> None:
    write_runtime_file(tmp_path, "jpserver-1.json", url="http://h/", token="")

    (place,) = discovered_connections({"JUPYTERHUB_API_TOKEN": "hub"}, tmp_path)

    assert place.key == "hub"


def test_a_server_without_a_token_is_opened_with_the_key_that_it_keeps(tmp_path: Path) -> None:
    write_runtime_file(tmp_path, "jpserver-1.json", url="http://h/", token="")

    assert [place.key for place in discovered_connections({}, tmp_path, "sk-kept")] == ["sk-kept"]
    assert [place.key for place in discovered_connections({}, tmp_path)] == [""]


def test_the_scoped_key_comes_before_the_token_that_opens_the_whole_server(tmp_path: Path) -> None:
    write_runtime_file(tmp_path, "jpserver-1.json", url="http://h/", token="t")

    assert [place.key for place in discovered_connections({}, tmp_path, "sk-kept")] == ["sk-kept", "t"]


@pytest.mark.parametrize(
    ("info", "url"),
    [
        ({"url": "http://box:8888/a/", "hostname": "0.0.0.0", "secure": False}, "http://127.0.0.1:8888/a"),
        ({"url": "https://box:8888/a/", "hostname": "::", "secure": True}, "https://[::1]:8888/a"),
        ({"url": "http://10.1.2.3:8888/a/", "hostname": "10.1.2.3"}, "http://10.1.2.3:8888/a"),
        ({"url": "http+unix://%2Ftmp%2Fs/a/", "hostname": "", "sock": "/tmp/s"}, "http+unix://%2Ftmp%2Fs/a"),
    ],
)
def test_a_server_that_listens_everywhere_is_asked_on_this_machine(
    tmp_path: Path, info: dict[str, object], url: str
) -> None:
    write_runtime_file(tmp_path, "jpserver-1.json", port=8888, base_url="/a/", token="t", **info)

    (place,) = discovered_connections({}, tmp_path)

    assert place.base_url == f"{url}/gpt-oss/v1"


def test_a_server_that_has_ended_is_not_asked(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        write_runtime_file(tmp_path, f"jpserver-{pid}.json", url=f"http://h:{pid}/", token="t", pid=pid)

    (place,) = discovered_connections({}, tmp_path)

    assert place.base_url == f"http://h:{os.getpid()}/gpt-oss/v1"


def test_the_kept_key_is_read_where_the_server_writes_it(tmp_path: Path) -> None:
    assert read_kept_key(tmp_path) == ""
    key = load_or_create_key(tmp_path / GptOss.name / "api_key")
    assert read_kept_key(tmp_path) == key


def test_files_of_others_and_broken_files_are_read_over(tmp_path: Path) -> None:
    write_runtime_file(tmp_path, "jpserver-mcp-5.json", url="http://h/")
    write_runtime_file(tmp_path, "jpserver-6.json", port=1)
    (tmp_path / "jpserver-7.json").write_text('{"url": "http', encoding="utf-8")

    assert list(discovered_connections({}, tmp_path)) == []


def test_a_named_url_may_be_the_api_or_the_server_around_it() -> None:
    assert [place.base_url for place in explicit_connections("http://h/v1/", "k")] == ["http://h/v1"]
    assert [place.base_url for place in explicit_connections("http://h/")] == [
        "http://h/gpt-oss/v1",
        "http://h/v1",
    ]


@pytest.mark.parametrize(
    ("url", "base_url", "key"),
    [
        ("http://h:8888/lab?token=abc", "http://h:8888/gpt-oss/v1", "abc"),
        ("http://h/user/ada/lab/tree/my%20notes.ipynb", "http://h/user/ada/gpt-oss/v1", ""),
        ("http://h/notebooks/a.ipynb?factory=Notebook#part", "http://h/gpt-oss/v1", ""),
        ("http://h/tree/v1", "http://h/tree/v1", ""),
        ("http+unix://%2Ftmp%2Fs.sock", "http+unix://%2Ftmp%2Fs.sock/gpt-oss/v1", ""),
    ],
)
def test_a_named_url_may_be_a_page_of_the_server(url: str, base_url: str, key: str) -> None:
    first = next(explicit_connections(url))
    assert (first.base_url, first.key) == (base_url, key)
    assert next(explicit_connections(url, "chosen")).key == "chosen"


def test_a_server_whose_own_path_holds_a_pages_word_is_found_too() -> None:
    urls = [place.base_url for place in explicit_connections("http://h/notebooks/user/ada")]
    assert "http://h/notebooks/user/ada/gpt-oss/v1" in urls


def test_the_key_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Connection("http://h/v1", "secret"))
