"""One simulated engine: the worker's own Scheduler as its queue, a prefix cache of conversations, and service times."""

from collections import OrderedDict
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.scheduler import Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

SYSTEM_TOKENS = 120  # of a prompt, the same for all
KEPT_TOKENS = 150  # of an answer in the next prompt, which has no reasoning
UNIT = 10  # tokens that one id of a simulated prompt stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one engine is. The time of one more sequence in a step is what a step costs beyond its weights."""

    prefill_tokens_per_second: float
    first_sequence_seconds: float
    """A decode step of one sequence."""
    next_sequence_seconds: float
    """What each further one adds to it."""
    max_running: int
    cache_tokens: int
    """Of prompts and answers, in the prefix cache."""
    is_salted: bool = False
    """Whether users share no beginnings of prompts, as with GptOssRemote.salts_cache before vLLM."""

    @property
    def tokens_per_second(self) -> float:
        """What it writes with every place taken."""
        more = self.max_running - 1
        return self.max_running / (self.first_sequence_seconds + more * self.next_sequence_seconds)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that will be asked."""

    user: int
    conversation: int
    number: int
    is_loop: bool


@dataclass(slots=True)
class Ask:
    """One that was asked."""

    turn: Turn
    asked_seconds: float
    request: GenerationRequest
    left_tokens: float
    """Of the answer."""
    started_seconds: float = 0.0
    cached_tokens: int = 0


class PrefixCache:
    """What one engine knows of conversations; the one that was used longest ago goes first.

    Args:
        speed: of the engine.
    """

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._tokens: OrderedDict[int, int] = OrderedDict()
        self._sum = 0
        self._users: set[int] = set()

    def find(self, turn: Turn) -> int:
        """Return how many tokens of a turn's prompt are known."""
        knows_system = turn.user in self._users if self._speed.is_salted else bool(self._users)
        return self._tokens.get(turn.conversation, SYSTEM_TOKENS if knows_system else 0)

    def keep(self, turn: Turn, num_tokens: int) -> None:
        """Note that a conversation is known so far."""
        self._users.add(turn.user)
        self._sum += num_tokens - self._tokens.pop(turn.conversation, 0)
        self._tokens[turn.conversation] = num_tokens
        while self._sum > self._speed.cache_tokens and len(self._tokens) > 1:
            self._sum -= self._tokens.popitem(last=False)[1]


class Engine:
    """One engine: the real queue, and service times.

    Args:
        speed: its own.
    """

    is_healthy = True

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.scheduler = Scheduler(max_running=speed.max_running)
        self.running: dict[str, Ask] = {}
        self.free_seconds = 0.0
        self._waiting: dict[str, Ask] = {}
        self._cache = PrefixCache(speed)

    @property
    def num_open(self) -> int:
        """Requests that it works on."""
        return len(self.running) + len(self._waiting)

    def add(self, ask: Ask) -> None:
        """Put a request into the queue."""
        self._waiting[ask.request.request_id] = ask
        self.scheduler.add(Sequence(ask.request, max_tokens=ask.request.max_tokens))

    def admit(self, now: float) -> float:
        """Start what may start; return the seconds that reading the prompts takes."""
        seconds = 0.0
        for sequence in self.scheduler.admit(lambda _: True):
            ask = self._waiting.pop(sequence.request.request_id)
            num_prompt = UNIT * len(ask.request.prompt_token_ids)
            ask.cached_tokens = min(self._cache.find(ask.turn), num_prompt)
            seconds += (num_prompt - ask.cached_tokens) / self.speed.prefill_tokens_per_second
            ask.started_seconds = now + seconds
            self.running[ask.request.request_id] = ask
            self._cache.keep(ask.turn, num_prompt + KEPT_TOKENS)
        return seconds

    def write(self) -> tuple[float, list[Ask]]:
        """Write until an answer ends or, where there is a place, for a tenth of a second; return the time and who ended."""
        step = self.speed.first_sequence_seconds + (len(self.running) - 1) * self.speed.next_sequence_seconds
        is_full = len(self.running) == self.speed.max_running
        least_left = min(ask.left_tokens for ask in self.running.values())
        num_steps = max(1.0, least_left if is_full else min(least_left, 0.1 / step))
        for ask in self.running.values():
            ask.left_tokens -= num_steps
        ended = [ask for ask in self.running.values() if ask.left_tokens <= 0]
        for ask in ended:
            del self.running[ask.request.request_id]
            self.scheduler.remove(ask.request.request_id)
        return num_steps * step, ended
