"""Requests through an engine loop in the test's own process."""

from typing import Any

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Generate, Report, RequestFailed, StepDone
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker.constraint import ConstraintFactory
from jupyter_mlx_gpt_oss.worker.engine_loop import EngineLoop
from jupyter_mlx_gpt_oss.worker.head import FullHead
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel

VOCABULARY = 1024
GREEDY = SamplingParams(temperature=0.0)


class Caller:
    """Plays requests through an engine loop and collects what comes back."""

    def __init__(self, model: Any, config: EngineConfig) -> None:
        info = ModelInfo(
            name="tiny",
            context_length=4096,
            quantization=None,
            vocabulary_size=VOCABULARY,
            is_demo=False,
            weight_bytes=0,
            device="cpu",
        )
        self.tokens: dict[str, list[int]] = {}
        self.cached: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.loop = EngineLoop(
            LoadedModel(model, FullHead(model), info, ConstraintFactory(VOCABULARY)), config, self._take
        )

    def _take(self, report: Report) -> None:
        if isinstance(report, RequestFailed):
            self.failed[report.request_id] = report.code
        if isinstance(report, StepDone):
            for output in report.outputs:
                self.tokens.setdefault(output.request_id, []).extend(output.token_ids)
                if output.token_ids:
                    self.cached[output.request_id] = output.num_cached_tokens

    def add(
        self,
        name: str,
        prompt: list[int],
        max_tokens: int,
        boundaries: tuple[int, ...] = (),
        sampling: SamplingParams = GREEDY,
    ) -> None:
        """Send a request."""
        self.send(
            GenerationRequest(
                request_id=name,
                prompt_token_ids=tuple(prompt),
                max_tokens=max_tokens,
                stop_token_ids=(),
                boundaries=boundaries,
                sampling=sampling,
            )
        )

    def send(self, request: GenerationRequest) -> None:
        """Send a request that asks for more than `add` knows."""
        self.loop.take(Generate(request))

    def run(self) -> None:
        """Step until nothing is left to do."""
        while not self.loop.is_idle:
            self.loop.step()
