"""Conversations of people and agents with a server: the same ones over HTTP and inside this process.

Whoever takes part gives one function, `Send`: the fields of a chat request in, the assistant's message out. A client here
sends everything it has got, as clients do. A server that answers without a call where a tool must be called (the peers know
no `tool_choice`) gets its history with a call of the client's own, so that every server reads a conversation of the same form.

    chat        ten turns of one conversation
    loop        twenty steps of a tool loop, reasoning sent back
    loop-bare   the same without the reasoning
    agents      six agents with system messages and tools of their own, five steps each, all at once
    edit        a conversation whose last answer is regenerated and whose third message is edited, and that goes on from both
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[Message]]
"""Takes `messages`, `tools` and the like; returns the answer's message."""
Talk = Callable[[Send, float], Awaitable[None]]
"""Holds a conversation; the seconds are those between an answer and the next message."""

_WORDS = (
    "tide",
    "harbour",
    "seven",
    "grey",
    "boats",
    "waited",
    "wind",
    "nobody",
    "spoke",
    "again",
    "lamp",
    "letter",
)
_ANSWER_TOKENS = 60
_PATH = {"type": "string", "enum": ["notes.txt"]}


def text(seed: int, num_words: int) -> str:
    """Return words that no other seed gives."""
    source = random.Random(seed)
    return " ".join(source.choice(_WORDS) for _ in range(num_words))


def user(content: str) -> Message:
    """Return what a person says."""
    return {"role": "user", "content": content}


def story(seed: int) -> list[Message]:
    """Return a request for a long answer; what one seed asks is not known from another, but for Harmony's own beginning."""
    return [{"role": "system", "content": text(seed, 12)}, user("Tell me a long story.")]


@dataclass(slots=True)
class Conversation:
    """A client that sends everything it has got."""

    send: Send
    tools: list[Message] | None = None
    is_reasoning_sent: bool = True
    messages: list[Message] = field(default_factory=list)

    async def ask(self) -> Message:
        """Send the messages, and take the answer among them."""
        body: dict[str, Any] = {
            "messages": self.messages,
            "max_tokens": _ANSWER_TOKENS,
            "temperature": 0.0,
        }
        if self.tools:
            body |= {"tools": self.tools, "tool_choice": "required"}
        answer = await self.send(body)
        kept = {"role", "content", "tool_calls", *(("reasoning",) if self.is_reasoning_sent else ())}
        message = {key: value for key, value in answer.items() if key in kept}
        if self.tools and not message.get("tool_calls"):
            message = _own_call(self.tools[0], len(self.messages))
        self.messages.append(message)
        return message

    async def use_tools(self, result: str) -> None:
        """Ask for a call, and put its result behind it."""
        message = await self.ask()
        for call in message["tool_calls"]:
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


def _tool(name: str) -> Message:
    parameters = {
        "type": "object",
        "properties": {"path": _PATH},
        "required": ["path"],
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": "Read a file.", "parameters": parameters, "strict": True},
    }


def _own_call(tool: Message, number: int) -> Message:
    call = {"name": tool["function"]["name"], "arguments": '{"path": "notes.txt"}'}
    called = {"id": f"call_{number}", "type": "function", "function": call}
    return {"role": "assistant", "content": "", "tool_calls": [called]}


async def _chat(send: Send, think: float) -> None:
    talk = Conversation(send, messages=[{"role": "system", "content": text(0, 300)}])
    for turn in range(10):
        talk.messages.append(user(f"Tell me a story. {text(turn, 12)}"))
        await talk.ask()
        await asyncio.sleep(think)  # somebody reads the answer, and the engine may read ahead


def _loop(*, is_reasoning_sent: bool) -> Talk:
    async def run(send: Send, think: float) -> None:
        del think
        talk = Conversation(send, [_tool("read_file")], is_reasoning_sent)
        talk.messages.append(user(f"Read the notes{'.' if is_reasoning_sent else '!'} {text(1, 40)}"))
        for step in range(20):
            await talk.use_tools(text(100 + step, 20 + 15 * (step % 7)))

    return run


async def _agents(send: Send, think: float) -> None:
    del think
    talks = []
    for agent in range(6):
        system = {"role": "system", "content": f"Agent {agent}. {text(agent, 150)}"}
        talks.append(
            Conversation(send, [_tool(f"read_file_{agent}")], messages=[system, user(text(50 + agent, 30))])
        )
    for step in range(5):
        await asyncio.gather(*(talk.use_tools(text(10 * step, 40)) for talk in talks))


async def _edit(send: Send, think: float) -> None:
    talk = Conversation(send)
    for turn in range(6):
        talk.messages.append(user(text(turn, 40)))
        await talk.ask()
        await asyncio.sleep(think)
    talk.messages.pop()
    await talk.ask()  # regenerated
    await asyncio.sleep(think)
    edited = Conversation(send, messages=[*talk.messages[:4], user(text(90, 40))])
    for turn in range(3):
        await edited.ask()
        await asyncio.sleep(think)
        for branch in (talk, edited):
            branch.messages.append(user(text(200 + turn, 30)))
        await talk.ask()
        await asyncio.sleep(think)


TALKS: dict[str, Talk] = {
    "chat": _chat,
    "loop": _loop(is_reasoning_sent=True),
    "loop-bare": _loop(is_reasoning_sent=False),
    "agents": _agents,
    "edit": _edit,
}
