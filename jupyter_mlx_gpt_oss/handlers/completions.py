"""`POST v1/completions`: bytes to a request, and its raw answer as a stream or whole."""

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.event_stream import EventStreamHandler


class CompletionsHandler(EventStreamHandler):
    """Answers one completion."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Stream the answer if the request says so, else send it whole."""
        completions = await self.door.service.completions(self.owner, is_shared=self.has_scoped_key)
        request = await completions.read(self.read_body())
        if request.stream:
            await self.run(self.write_events(completions.stream(request)))
        else:
            await self.run(self.write_whole(completions.complete(request)))
