"""The scoped key's file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.handlers.api_key import is_same_key, load_or_create_key


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "api_key"
    key = load_or_create_key(path)
    assert key.startswith("sk-gpt-oss-")
    assert len(key) > 40
    assert load_or_create_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_gets_a_key(tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    path.write_text("\n")
    assert load_or_create_key(path) == path.read_text().strip() != ""


def test_servers_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "data" / "api_key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_create_key, [path] * 32))
    assert keys == {path.read_text().strip()}


def test_a_key_that_others_can_read_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    key = load_or_create_key(path)
    path.chmod(0o644)
    assert load_or_create_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_hold_a_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        load_or_create_key(tmp_path / "file" / "api_key")


@pytest.mark.parametrize(("presented", "key", "same"), [("a", "a", True), ("a", "b", False), ("", "", False)])
def test_keys_are_compared_and_an_empty_one_opens_nothing(presented: str, key: str, same: bool) -> None:
    assert is_same_key(presented, key) is same
