"""A scenario to what came of it: an hour of users before engines, event by event, without a model.

The routing is the remote engine's own Router: one before all engines, as in a hub's service with several of them. A user
asks, reads the answer, and asks again; some ask from a loop.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.hub_engine import KEPT_TOKENS, SYSTEM_TOKENS, UNIT, Ask, Engine, Speed, Turn
from jupyter_mlx_gpt_oss.engine.remote_router import Router
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest

QUESTION_TOKENS, ANSWER_TOKENS = 80, 350  # of a turn
TURNS = 6  # of a conversation
READING_SECONDS = 90.0  # exponential, between an answer and the next question
LOOP_REQUESTS = 50  # open at once, of somebody who asks from a loop
SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is simulated."""

    speed: Speed
    num_engines: int
    is_sticky: bool = True
    is_fair: bool = True
    num_hands: int = 100
    """Users who ask by hand."""
    num_loops: int = 0
    """Users who ask from a loop."""


@dataclass(slots=True)
class Outcome:
    """What came of a scenario. Waits and tokens are those of users who ask by hand."""

    first_token_seconds: list[float] = field(default_factory=list)
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    """By user; of those who ask by hand."""
    loop_answers: Counter[int] = field(default_factory=Counter)

    @property
    def hit_rate(self) -> float:
        """The share of prompt tokens that were found in a cache."""
        return self.num_cached_tokens / max(1, self.num_prompt_tokens)


class Simulation:
    """Runs one scenario; the same seed, the same outcome.

    Args:
        scenario: what is simulated.
        seed: of everything that is drawn.
    """

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self._scenario = scenario
        # Each user's own, so that the same users ask the same in every scenario.
        num_users = scenario.num_hands + scenario.num_loops
        self._randoms = [random.Random(f"{seed}-{user}") for user in range(num_users)]
        self._engines = [Engine(scenario.speed) for _ in range(scenario.num_engines)]
        self._router = Router(self._engines, is_sticky=scenario.is_sticky)
        self._events: list[tuple[float, int, Turn | Engine]] = []
        self._numbers = itertools.count(1)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Play an hour."""
        hands, loops = self._scenario.num_hands, self._scenario.num_loops
        for user in range(hands):
            self._later(self._reading(user), Turn(user, next(self._numbers), 0, is_loop=False))
        for user in range(hands, hands + loops):
            for _ in range(LOOP_REQUESTS):
                self._later(0.0, Turn(user, next(self._numbers), 0, is_loop=True))
        while self._events and self._events[0][0] < SECONDS:
            now, _, event = heapq.heappop(self._events)
            if isinstance(event, Engine):
                self._step(event, now)
            else:
                self._ask(event, now)
        return self._outcome

    def _reading(self, user: int) -> float:
        return self._randoms[user].expovariate(1 / READING_SECONDS)

    def _later(self, when: float, event: Turn | Engine) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def _ask(self, turn: Turn, now: float) -> None:
        prompt = _prompt(turn)
        request = GenerationRequest(
            request_id=str(next(self._numbers)),
            prompt_token_ids=prompt,
            boundaries=tuple(_boundaries(len(prompt))),
            max_tokens=ANSWER_TOKENS,
            stop_token_ids=(),
            caller=str(turn.user) if self._scenario.is_fair else "",
        )
        engine = self._router.order(request)[0]
        self._router.remember(request, engine)
        if not engine.num_open:
            self._later(max(now, engine.free_seconds), engine)
        num_tokens = max(10.0, self._randoms[turn.user].expovariate(1 / ANSWER_TOKENS))
        engine.add(Ask(turn, now, request, num_tokens))

    def _step(self, engine: Engine, now: float) -> None:
        now += engine.admit(now)
        if not engine.running:
            return
        seconds, ended = engine.write()
        engine.free_seconds = now + seconds
        for ask in ended:
            self._end(ask, engine.free_seconds)
        if engine.num_open:
            self._later(engine.free_seconds, engine)

    def _end(self, ask: Ask, now: float) -> None:
        outcome, turn = self._outcome, ask.turn
        if turn.is_loop:
            outcome.loop_answers[turn.user] += 1
            self._later(now, Turn(turn.user, next(self._numbers), 0, is_loop=True))
            return
        outcome.answers[turn.user] += 1
        outcome.first_token_seconds.append(ask.started_seconds - ask.asked_seconds)
        outcome.num_prompt_tokens += UNIT * len(ask.request.prompt_token_ids)
        outcome.num_cached_tokens += ask.cached_tokens
        number = (turn.number + 1) % TURNS
        conversation = turn.conversation if number else next(self._numbers)
        self._later(now + self._reading(turn.user), Turn(turn.user, conversation, number, is_loop=False))


def _prompt(turn: Turn) -> tuple[int, ...]:
    """Return token ids that are the conversation's own behind the system message."""
    num_own = QUESTION_TOKENS + turn.number * (KEPT_TOKENS + QUESTION_TOKENS)
    return (0,) * (SYSTEM_TOKENS // UNIT) + (turn.conversation,) * (num_own // UNIT)


def _boundaries(size: int) -> Iterator[int]:
    first = SYSTEM_TOKENS // UNIT
    yield first
    yield from range(first + QUESTION_TOKENS // UNIT, size + 1, (KEPT_TOKENS + QUESTION_TOKENS) // UNIT)
