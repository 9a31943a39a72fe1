"""Everything that a remote engine can be told at its start, as one frozen value. `config.py` makes it of traits."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteConfig:
    """Where the servers are, how they are spoken to, and how much is asked of them."""

    urls: tuple[str, ...]
    """Base URLs as OpenAI's clients take them, such as `https://host:8000/v1`; at least one."""
    key: str = field(default="", repr=False)
    """Sent as `Authorization: Bearer`; empty: none is sent."""
    model: str = ""
    """The model to ask for; empty: the first that a server lists."""
    ca_file: str = ""
    """PEM file of the authorities that sign the servers' certificates; empty: the system's."""
    certificate_file: str = ""
    """PEM file of this side's own certificate; empty: none is shown."""
    certificate_key_file: str = ""
    """PEM file of its key; empty: it is in certificate_file."""
    context_length: int | None = None
    """Tokens of prompt and answer together; None: what the servers say."""
    max_open_requests: int = 64
    """Requests that may be open at once; one more is refused with QueueFullError."""
    connect_timeout_seconds: float = 10.0
    """How long a server may take to accept a connection."""
    silence_timeout_seconds: float = 300.0
    """How long a server with a request may say nothing."""
    health_interval_seconds: float = 10.0
    """How often a server that failed is asked whether it is back."""
    salts_cache: bool = True
    """Whether no caller can find out by timing what another has asked, at the price of no shared prefixes."""

    def __post_init__(self) -> None:
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} is no URL of a remote engine, such as http://127.0.0.1:8000/v1")
        if not self.urls or self.max_open_requests < 1:
            raise ValueError("urls needs at least one, and max_open_requests starts at 1")
