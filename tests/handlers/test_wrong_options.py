"""Options that cannot be meant: whoever asks is told in words."""

import pytest

from tests.support.http_client import HttpClient


@pytest.mark.parametrize(
    ("gpt_oss_config", "words"),
    [
        (
            {"GptOss": {"engine_url": "engine-host:8899/v1"}},
            "'engine-host:8899/v1' is no URL of a remote engine",
        ),
        ({"GptOss": {"engine_url": " "}}, "urls needs at least one"),
        ({"GptOss": {"engine_class": "nowhere.Engine"}}, "No module named 'nowhere'"),
    ],
)
@pytest.mark.usefixtures("gpt_oss_config")
async def test_a_mistyped_option_is_told(http: HttpClient, words: str) -> None:
    reply = await http.chat()
    assert (reply.status, reply.error["code"]) == (500, "model_load_failed")
    assert words in reply.error["message"]
