"""One headless server for all users of a JupyterHub: what the Hub's configuration says of it, and its start by the Hub.

    from jupyter_mlx_gpt_oss.hub import hub_roles, hub_service
    c.JupyterHub.services = [hub_service(arguments=["--model=mlx-community/gpt-oss-20b-MXFP4-Q8"])]
    c.JupyterHub.load_roles = hub_roles()

Imported by the Hub's configuration, so nothing heavy may be imported here. Source: JupyterHub, "Services".
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

_IDENTITY_ROOM = "jupyter_mlx_gpt_oss.handlers.hub_identity"


def hub_service(
    *, name: str = "gpt-oss", url: str = "http://127.0.0.1:8899", arguments: Sequence[str] = ()
) -> dict[str, Any]:
    """Return an item of `c.JupyterHub.services`: the Hub starts the server, and its proxy leads `/services/NAME/` to it.

    Args:
        name: the service's.
        url: where it listens.
        arguments: of `jupyter mlx-gpt-oss`.
    """
    command = [sys.executable, "-m", "jupyter_mlx_gpt_oss.hub", *arguments]
    # Not in the Hub's menu of services: a browser brings no token.
    return {"name": name, "url": url, "command": command, "display": False}


def hub_roles(*, name: str = "gpt-oss") -> list[dict[str, Any]]:
    """Return items of `c.JupyterHub.load_roles`: all users may ask the service, from their servers too.

    Args:
        name: the service's.
    """
    scope = f"access:services!service={name}"
    return [
        {"name": "user", "scopes": ["self", scope]},
        {"name": "server", "scopes": ["users:activity!user", "access:servers!server", scope]},
    ]


def hub_arguments(environ: Mapping[str, str]) -> list[str]:
    """Return the arguments that put a server where the Hub expects its service.

    Args:
        environ: as the Hub sets it for its services.
    """
    url = urlsplit(environ["JUPYTERHUB_SERVICE_URL"])
    return [
        f"--ServerApp.identity_provider_class={_IDENTITY_ROOM}.HubIdentityProvider",
        f"--ServerApp.authorizer_class={_IDENTITY_ROOM}.GptOssAuthorizer",
        f"--ServerApp.base_url={environ['JUPYTERHUB_SERVICE_PREFIX']}",
        f"--ServerApp.ip={url.hostname}",
        f"--ServerApp.port={url.port}",
        "--ServerApp.port_retries=0",
        # Who comes through the Hub's proxy names the Hub's host. Only tokens open this server, so no page can borrow a cookie.
        "--ServerApp.allow_remote_access=True",
    ]


def main() -> None:
    """Start the server; the Hub calls this."""
    from jupyter_mlx_gpt_oss.app import GptOss  # noqa: PLC0415  the Hub's configuration needs no server

    GptOss.launch_instance([*hub_arguments(os.environ), *sys.argv[1:]])  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
