"""A chat completion's request to the tokens of its prompt, with the turns that the client sends back as sampled.

Every method may take long, for long messages, and is called in a thread.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.harmony import Prompt, render_prompt
from jupyter_mlx_gpt_oss.harmony.encoding import CALL
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from jupyter_mlx_gpt_oss.harmony.messages import AssistantMessage, ToolCall
from jupyter_mlx_gpt_oss.harmony.prompt_parts import NO_LIMITS, PromptLimits
from jupyter_mlx_gpt_oss.protocol.chat_answers import Message
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.serving.legacy_names import legacy_names
from jupyter_mlx_gpt_oss.serving.turn_memory import TurnMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPrompts:
    """Renders one caller's prompts.

    Args:
        memory: the turns of all callers.
        owner: names the caller.
        clock: seconds since 1970.
        limits: of the prompts.
    """

    memory: TurnMemory
    owner: str
    clock: Callable[[], float]
    limits: PromptLimits = NO_LIMITS

    def prompt(self, request: ChatCompletionRequest) -> Prompt:
        """Render a request's prompt; raises what `render_prompt` raises."""
        with legacy_names(request):
            return self._render(request, request.messages, self.limits)

    @staticmethod
    def grammar(request: ChatCompletionRequest, prompt: Prompt) -> str | None:
        """Return what the answer to a prompt must keep to; raises what `turn_grammar` raises."""
        with legacy_names(request):
            return turn_grammar(
                request.offered_tools,
                tool_choice=request.choice,
                response_format=request.response_format,
                opened=prompt.opened,
                reasoning_effort=request.effort,
            )

    def history(self, request: ChatCompletionRequest, answer: str) -> tuple[int, ...]:
        """Return the beginning of the prompt that the caller's next message will have.

        Args:
            request: the last one, which ends with a message of the user or a tool.
            answer: the content of the answer to it.
        """
        messages = [
            *request.messages,
            {"role": "assistant", "content": answer},
            {"role": "user", "content": ""},
        ]
        prompt = self._render(request, messages, NO_LIMITS)  # all but the answer was held to them
        *_, end_of_answer, _end_of_user = prompt.boundaries
        return prompt.token_ids[:end_of_answer]

    def keep_turn(self, prompt: Prompt, output_token_ids: tuple[int, ...], message: Message) -> None:
        """Keep a turn that ended with a call: the client sends it back with the call's result.

        A turn with an answer is not kept: its reasoning leaves the prompt, so nothing goes on from its tokens.
        """
        if not message.tool_calls or output_token_ids[-1:] != (CALL,):
            return
        calls = tuple(ToolCall(call.function.name, call.function.arguments) for call in message.tool_calls)
        self.memory.keep(
            self.owner,
            message.tool_calls[0].id,
            (*prompt.turn_head, *output_token_ids),
            AssistantMessage(message.reasoning or "", message.content or "", calls),
        )

    def _render(
        self, request: ChatCompletionRequest, messages: Sequence[dict[str, Any]], limits: PromptLimits
    ) -> Prompt:
        now = dt.datetime.fromtimestamp(self.clock(), tz=dt.UTC)

        def as_sampled(index: int, message: AssistantMessage) -> Sequence[int]:
            calls = messages[index].get("tool_calls")
            return self.memory.find(self.owner, calls[0]["id"], message) if calls else ()

        return render_prompt(
            messages,
            request.offered_tools,
            reasoning_effort=request.effort,
            current_date=now.astimezone().date(),
            response_format=request.response_format,
            tool_choice=request.choice,
            continues_last=request.continue_final_message is not False,
            as_sampled=as_sampled,
            limits=limits,
        )
