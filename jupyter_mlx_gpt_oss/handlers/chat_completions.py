"""`POST v1/chat/completions`: bytes to a request, and its answer as a stream or whole."""

import asyncio

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.event_stream import EventStreamHandler


class ChatCompletionsHandler(EventStreamHandler):
    """Answers one chat completion."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Stream the answer if the request says so, else send it whole."""
        chat_completions = await self.door.service.chat_completions(self.owner)
        request = await asyncio.to_thread(chat_completions.read, self.read_body())
        if request.stream:
            await self.run(self.write_events(chat_completions.stream(request)))
        else:
            await self.run(self.write_whole(chat_completions.complete(request)))
