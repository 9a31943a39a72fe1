"""Kept responses: whose they are, and how many."""

from typing import Any

import pytest
from typing_extensions import override

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


class NotedItem(dict[str, Any]):
    """An item that notes how often it was looked at."""

    num_looks = 0

    @override
    def __getitem__(self, key: str) -> Any:
        NotedItem.num_looks += 1
        return super().__getitem__(key)


def test_an_item_is_found_without_a_look_at_the_others() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    items = tuple(NotedItem(id=f"msg_{number}") for number in range(1000))
    store.keep("ann", StoredResponse(Response.model_construct(id="a"), (), items, (), 10))
    NotedItem.num_looks = 0
    for number in range(1000):
        assert store.item("ann", f"msg_{number}", param="input") is items[number]
    assert NotedItem.num_looks == 0


def test_an_item_is_there_as_long_as_one_response_has_it() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    shared = {"id": "msg_1"}
    for response_id in ("a", "b"):
        response = Response.model_construct(id=response_id)
        store.keep("ann", StoredResponse(response, (), (shared,), ({"id": f"of_{response_id}"},), 10))
    store.delete("ann", "b")
    assert store.item("ann", "msg_1", param="input") is shared
    with pytest.raises(NotFoundError):
        store.item("ann", "of_b", param="input")
    store.delete("ann", "a")
    with pytest.raises(NotFoundError):
        store.item("ann", "msg_1", param="input")


def test_a_response_kept_again_has_its_new_items() -> None:
    store = ResponseStore(max_items=10, max_bytes=100)
    for text in ("one", "two"):
        item = {"id": "msg_1", "content": text}
        store.keep("ann", StoredResponse(Response.model_construct(id="a"), (), (item,), (), 10))
    assert store.item("ann", "msg_1", param="input")["content"] == "two"
    store.delete("ann", "a")
    with pytest.raises(NotFoundError):
        store.item("ann", "msg_1", param="input")
