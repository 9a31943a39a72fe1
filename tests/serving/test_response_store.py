"""Kept responses: whose they are, and how many."""

import pytest

from jupyter_mlx_gpt_oss.errors import NotFoundError
from jupyter_mlx_gpt_oss.protocol.response_answers import Response
from jupyter_mlx_gpt_oss.serving.response_store import ResponseStore, StoredResponse


def stored(response_id: str, num_bytes: int = 10) -> StoredResponse:
    item = {"type": "message", "id": f"msg_{response_id}", "role": "user", "content": "Hi"}
    return StoredResponse(Response.model_construct(id=response_id), (), (item,), (), num_bytes)


def test_the_least_recently_used_response_goes_first() -> None:
    store = ResponseStore(max_items=2, max_bytes=100)
    store.keep("ann", stored("a"))
    store.keep("ann", stored("b"))
    store.get("ann", "a")
    store.keep("ann", stored("c"))
    assert len(store) == 2
    with pytest.raises(NotFoundError):
        store.get("ann", "b")


def test_bytes_are_bounded_too() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    store.keep("ann", stored("a", 60))
    store.keep("ann", stored("b", 60))
    assert len(store) == 1
    store.keep("ann", stored("c", 101))
    assert store.get("ann", "b").num_bytes == 60
    store.keep("ann", stored("b", 70))
    assert len(store) == 1


def test_room_of_a_deleted_response_is_given_back() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    store.keep("ann", stored("a", 60))
    store.delete("ann", "a")
    store.keep("ann", stored("b", 100))
    assert len(store) == 1


def test_responses_and_items_are_their_owners() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    store.keep("ann", stored("a"))
    assert store.item("ann", "msg_a", param="input[0].id")["content"] == "Hi"
    with pytest.raises(NotFoundError):
        store.get("bob", "a")
    with pytest.raises(NotFoundError) as error:
        store.item("bob", "msg_a", param="input[0].id")
    assert error.value.param == "input[0].id"


def test_nothing_is_kept_where_nothing_may_be() -> None:
    store = ResponseStore(max_items=0, max_bytes=100)
    store.keep("ann", stored("a"))
    assert len(store) == 0
