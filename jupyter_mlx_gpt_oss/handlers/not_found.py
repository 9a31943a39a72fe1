"""Whatever else is asked for below `gpt-oss/`."""

from typing import Any

from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import NotFoundError
from jupyter_mlx_gpt_oss.handlers.base import ApiHandler


class NotFoundHandler(ApiHandler):
    """Refuses every method, after the caller was let in."""

    @override
    async def prepare(self, **_kwargs: Any) -> None:
        """Refuse the request.

        Raises:
            NotFoundError: always, for a caller who may know.
        """
        await super().prepare()
        if self.request.method != "OPTIONS":
            raise NotFoundError(f"There is no route {self.request.path[:200]}.")
