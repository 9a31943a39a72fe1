"""What this server does, as metrics in Jupyter's own `/metrics`. Holds numbers and names of states, never a text.

A server's metrics are its own; `export` shows them in the registry of the process, and `withdraw` takes them away, so
that several servers may live in one process. `docs/metrics.md` lists them.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.base import EngineState, EngineStatus
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, ProgressStage, TokenOutput
from jupyter_mlx_gpt_oss.serving.token_source import TokenSource

_WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TOKEN_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """Counts requests, and measures answers.

    Args:
        status: gives the engine's numbers; called whenever the metrics are read.
        clock: seconds since any time.
    """

    def __init__(
        self, status: Callable[[], EngineStatus], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        self.registry.register(_EngineCollector(status))
        self._exported = _Exported(self.registry)
        self._is_exported = False
        self._requests = self._counter("requests", "Requests that were answered.", ("route", "outcome"))
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.")
        self._cached_tokens = self._counter(
            "cached_prompt_tokens", "Tokens of prompts that were not computed: the prefix cache had them."
        )
        self._completion_tokens = self._counter("completion_tokens", "Tokens that were generated.")
        self._queue_time = self._histogram(
            "queue_seconds", "From a request to the first step of its prompt.", _WAIT_BUCKETS
        )
        self._first_token = self._histogram(
            "time_to_first_token_seconds", "From a request to its first token.", _WAIT_BUCKETS
        )
        self._between_tokens = self._histogram(
            "time_between_tokens_seconds", "From a token to the next one of the same answer.", _TOKEN_BUCKETS
        )

    def export(self) -> None:
        """Show the metrics in the registry of the process, which is Jupyter's `/metrics`."""
        if not self._is_exported:
            REGISTRY.register(self._exported)
            self._is_exported = True

    def withdraw(self) -> None:
        """Show them no longer."""
        if self._is_exported:
            REGISTRY.unregister(self._exported)
            self._is_exported = False

    def count_request(self, route: str, outcome: str) -> None:
        """Count an answered request.

        Args:
            route: one of the server's own, without what the client put into it.
            outcome: `ok`, `client_gone`, or the code of an error.
        """
        self._requests.labels(route, outcome).inc()

    def measured(self, source: TokenSource) -> TokenSource:
        """Return the same source, whose answers are measured."""
        return _MeasuredSource(self, source)

    async def measure(
        self, outputs: AsyncGenerator[Progress | TokenOutput, None], num_prompt_tokens: int
    ) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Pass an answer on, and measure it; closes it at the end."""
        asked = self._clock()
        is_queued = True
        num_cached_tokens = 0
        last: float | None = None
        async with aclosing(outputs):
            async for output in outputs:
                now = self._clock()
                if is_queued and _is_begun(output):
                    is_queued = False
                    self._queue_time.observe(now - asked)
                # Some engines tell of them with the first token, remote ones with the last.
                if isinstance(output, TokenOutput) and output.num_cached_tokens > num_cached_tokens:
                    self._cached_tokens.inc(output.num_cached_tokens - num_cached_tokens)
                    num_cached_tokens = output.num_cached_tokens
                if isinstance(output, TokenOutput) and output.token_ids:
                    self._observe(
                        output, now - asked, None if last is None else now - last, num_prompt_tokens
                    )
                    last = now
                yield output

    def _observe(
        self, output: TokenOutput, since_asked: float, since_last: float | None, num_prompt_tokens: int
    ) -> None:
        if since_last is None:
            self._first_token.observe(since_asked)
            self._prompt_tokens.inc(num_prompt_tokens)
        else:
            self._between_tokens.observe(since_last / len(output.token_ids))
        self._completion_tokens.inc(len(output.token_ids))

    def _counter(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"gpt_oss_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"gpt_oss_{name}", help_text, buckets=buckets, registry=self.registry)


class _MeasuredSource:
    def __init__(self, metrics: Metrics, source: TokenSource) -> None:
        self._metrics = metrics
        self._source = source

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        return self._metrics.measure(self._source.generate(request), len(request.prompt_token_ids))


class _Exported(Collector):
    """A registry within a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        """Claim no name, as prometheus_client has it for collectors whose names it shall not compare."""
        return ()

    @override
    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()


class _EngineCollector(Collector):
    """The numbers that the engine itself knows, read when they are asked for."""

    def __init__(self, status: Callable[[], EngineStatus]) -> None:
        self._status = status

    @override
    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _gauge("running_requests", "Requests that are being answered.", status.num_running)
        yield _gauge("queued_requests", "Requests that wait for a place.", status.num_waiting)
        yield _gauge(
            "tokens_per_second", "Tokens generated lately, by all answers.", status.tokens_per_second
        )
        yield _gauge("step_seconds", "How long the engine's last step took.", status.step_seconds)
        yield _gauge("prefix_cache_bytes", "What the prefix cache keeps.", status.prefix_cache_bytes)
        yield CounterMetricFamily(
            "gpt_oss_engine_restarts",
            "How often the engine process had to be replaced.",
            value=status.num_restarts,
        )
        memory = GaugeMetricFamily(
            "gpt_oss_memory_bytes", "Memory of the model, by its use.", labels=["kind"]
        )
        known = {
            "weights": status.model.weight_bytes if status.model else 0,
            "live_kv": status.live_kv_bytes,
            "prefix_cache": status.prefix_cache_bytes - status.snapshot_bytes,
            "snapshots": status.snapshot_bytes,
        }
        for kind, num_bytes in known.items():
            memory.add_metric([kind], num_bytes)
        memory.add_metric(["other"], max(0, status.memory_bytes - sum(known.values())))
        yield memory
        state = GaugeMetricFamily(
            "gpt_oss_engine_state", "1 for the state that the model is in.", labels=["state"]
        )
        for each in EngineState:
            state.add_metric([each.value], float(each is status.state))
        yield state


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gpt_oss_{name}", help_text, value=value)


def _is_begun(output: Progress | TokenOutput) -> bool:
    return not isinstance(output, Progress) or output.stage is ProgressStage.PREFILL
