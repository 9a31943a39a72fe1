"""Open the HTTP connection that a URL asks for: plain, TLS, or over a unix socket.

Knows nothing of what is sent.
"""

import http.client
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from jupyter_mlx_gpt_oss.errors import ServerNotFoundError

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def open_http_connection(url: str, timeout_seconds: float) -> http.client.HTTPConnection:
    """Return a connection to the host of `url`; it connects with its first request, a unix socket at once.

    Raises:
        ServerNotFoundError: `url` is not an http, https or http+unix URL, or nobody listens at the socket.
    """
    try:
        parts = urlsplit(url)
        port = None if parts.scheme == "http+unix" else parts.port
    except ValueError as error:
        raise ServerNotFoundError(f"{url!r} is not a URL: {error}") from error
    # Without a port http.client looks for one in the host, and an IPv6 address is full of colons.
    match parts:
        case SplitResult(scheme="http+unix", netloc=str(path)) if path:
            return _unix_connection(unquote(path), timeout_seconds)
        case SplitResult(scheme="http", hostname=str(host)):
            return http.client.HTTPConnection(host, port or http.client.HTTP_PORT, timeout=timeout_seconds)
        case SplitResult(scheme="https", hostname=str(host)):
            return http.client.HTTPSConnection(
                host, port or http.client.HTTPS_PORT, timeout=timeout_seconds, context=_tls_context(host)
            )
    raise ServerNotFoundError(f"{url!r} is not a URL such as http://127.0.0.1:8888/gpt-oss/v1")


def _unix_connection(path: str, timeout_seconds: float) -> http.client.HTTPConnection:
    # `jupyter lab --sock PATH`. http.client uses a socket that it finds open instead of opening one.
    connection = http.client.HTTPConnection("localhost", timeout=timeout_seconds)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(timeout_seconds)
    try:
        connection.sock.connect(path)
    except OSError as error:
        connection.close()
        raise ServerNotFoundError(f"no server answers at {path}: {error}") from error
    return connection


def _tls_context(host: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if host in LOOPBACK_HOSTS:
        # SAFETY: a notebook server with `--certfile` has a certificate for its public name, not for loopback;
        # on loopback TLS adds no trust over plain HTTP, which is what Jupyter uses there otherwise.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
