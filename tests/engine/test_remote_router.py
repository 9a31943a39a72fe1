"""Which server is asked first."""

from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.remote_router import Router
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest


@dataclass
class FakeServer:
    name: str
    num_open: int = 0
    is_healthy: bool = True


A, B = "A", "B"


def router(**busy: int) -> tuple[Router[FakeServer], dict[str, FakeServer]]:
    servers = {name: FakeServer(name, busy.get(name, 0)) for name in (A, B)}
    return Router(list(servers.values())), servers


def turn(*token_ids: int, boundaries: tuple[int, ...]) -> GenerationRequest:
    return GenerationRequest(
        request_id="r", prompt_token_ids=token_ids, boundaries=boundaries, max_tokens=1, stop_token_ids=()
    )


FIRST = turn(1, 2, 3, 4, 5, boundaries=(1, 4))
NEXT = turn(1, 2, 3, 4, 6, 7, boundaries=(1, 4, 5))
OTHER = turn(1, 9, 9, 9, 9, boundaries=(1, 4))


def names(servers: list[FakeServer]) -> str:
    return "".join(server.name for server in servers)


def test_the_least_busy_is_first() -> None:
    routes, _ = router(A=2, B=1)
    assert names(routes.order(FIRST)) == "BA"


def test_a_conversation_goes_where_it_is_known() -> None:
    routes, servers = router(A=0, B=2)
    routes.remember(FIRST, servers[B])
    assert names(routes.order(NEXT)) == "BA"


def test_another_conversation_with_the_same_system_message_does_not() -> None:
    routes, servers = router(A=0, B=2)
    routes.remember(FIRST, servers[B])
    assert names(routes.order(OTHER)) == "AB"


def test_a_conversation_leaves_a_server_that_is_much_busier() -> None:
    routes, servers = router(A=0, B=5)
    routes.remember(FIRST, servers[B])
    assert names(routes.order(NEXT)) == "AB"


def test_a_server_that_failed_is_last_even_where_it_knows_the_conversation() -> None:
    routes, servers = router(A=3, B=0)
    routes.remember(FIRST, servers[B])
    servers[B].is_healthy = False
    assert names(routes.order(NEXT)) == "AB"


def test_what_is_known_is_bounded() -> None:
    routes, servers = router()
    for first in range(20_000):
        routes.remember(turn(first, boundaries=(1,)), servers[A])
    assert len(routes._known) == 16_384
