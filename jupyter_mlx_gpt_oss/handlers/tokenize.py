"""`POST v1/tokenize` and `POST v1/detokenize`."""

import asyncio

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.base import ApiHandler


class TokenizeHandler(ApiHandler):
    """Counts tokens, and shows them."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Send the tokens of a text or of messages."""
        tokenization = await self.door.service.tokenization(self.owner)
        body = self.read_body()
        self.finish(await self.run(asyncio.to_thread(lambda: tokenization.tokenize(body).to_json())))


class DetokenizeHandler(ApiHandler):
    """Turns tokens into text."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Send the text."""
        tokenization = await self.door.service.tokenization(self.owner)
        body = self.read_body()
        self.finish(await self.run(asyncio.to_thread(lambda: tokenization.detokenize(body).to_json())))
