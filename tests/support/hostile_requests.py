"""Requests that nobody should send: the same ones for the same seed, for every route that takes a body or an id.

A request is a good one in which one thing was made hostile: a value, a key, all texts, the bytes, the id in its path.
"""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support.hostile_bodies import BODIES
from tests.support.hostile_values import MARK, hostile_text, hostile_value

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileRequest:
    """One request."""

    what: str
    """What was done, for a person."""
    method: str = "POST"
    path: str
    body: bytes = b""
    field: str | None = None
    """The top-level field that was made hostile, which a refusal must name; None: the body as a whole, or the path."""

    @property
    def twin(self) -> "HostileRequest | None":
        """The same request with brackets for what spells control tokens: both make prompts of the same shape."""
        innocent = self.body.replace(b"<|", b"((").replace(b"\\u003c|", b"((").replace(b"|>", b"))")
        if innocent == self.body:
            return None
        return HostileRequest(what=f"twin of {self.what}", path=self.path, body=innocent)


def good_requests() -> Iterator[HostileRequest]:
    """Yield what the hostile ones are made from."""
    for name, (path, body) in BODIES.items():
        yield HostileRequest(what=name, path=path, body=json.dumps(body).encode())


def hostile_requests(seed: int, count: int) -> Iterator[HostileRequest]:
    """Yield so many requests."""
    random_ = random.Random(seed)
    makers = (_value, _value, _value, _value, _text, _marked, _key, _missing, _repeated, _bytes, _in_path)
    for _ in range(count):
        name, (path, body) = random_.choice(list(BODIES.items()))
        yield random_.choice(makers)(random_, name, path, copy.deepcopy(body))


def _value(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    where = random_.choice(list(_paths(body)))
    _put(body, where, hostile_value(random_))
    return _request(f"{name}: a value at {where}", path, body, where)


def _text(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    where = random_.choice([each for each in _paths(body) if isinstance(_at(body, each), str)])
    _put(body, where, hostile_text(random_))
    return _request(f"{name}: a text at {where}", path, body, where)


def _marked(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    """Spell control tokens in about half of all texts that are not one of a few words."""
    for where in list(_paths(body)):
        text = _at(body, where)
        if isinstance(text, str) and (" " in text or where[-1] in _TEXT_KEYS) and random_.random() < 0.5:
            _put(body, where, random_.choice((MARK, f"{text}{MARK}", "<|end|>")))
    text = json.dumps(body, ensure_ascii=random_.random() < 0.5)
    data = text.replace("<|", "\\u003c|") if random_.random() < 0.3 else text
    return HostileRequest(what=f"{name}: control tokens", path=path, body=data.encode())


def _key(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    """Add a key to one of the objects."""
    where = random_.choice([each for each in ((), *_paths(body)) if isinstance(_at(body, each), dict)])
    key = hostile_text(random_)
    _at(body, where)[key] = hostile_value(random_)
    return _request(f"{name}: a key in {where}", path, body, (*where, key))


def _missing(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    where = random_.choice(list(_paths(body)))
    del _at(body, where[:-1])[where[-1]]
    return _request(f"{name}: nothing at {where}", path, body, where)


def _repeated(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    """Repeat the items of a list, or a text, many times."""
    where = random_.choice([each for each in _paths(body) if isinstance(_at(body, each), list | str)])
    _put(body, where, _at(body, where) * random_.choice((2, 20, 400)))
    return _request(f"{name}: repeated {where}", path, body, where)


def _bytes(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    """Break the bytes of the body."""
    data = json.dumps(body).encode()
    cut = random_.randrange(len(data))
    broken = random_.choice(
        (
            data[:cut],
            data[:cut] + b"\xff\xfe" + data[cut:],
            data[:cut] + b"\x00" + data[cut:],
            data.decode().encode("utf-16"),
            b"\xef\xbb\xbf" + data,
            b"",
            b"null",
            b"[" + data + b"]",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            data + data,
            b'{"messages": NaN}',
            b'{"temperature": 1e999}',
            b'{"seed": ' + b"9" * 5_000 + b"}",
            data[:-1] + b', "model": "twice"}',
            b"model=any&prompt=Hi",
            bytes(random_.randrange(256) for _ in range(50)),
        )
    )
    return HostileRequest(what=f"{name}: bytes", path=path, body=broken)


def _in_path(random_: random.Random, name: str, path: str, body: Any) -> HostileRequest:
    """Put a text where an id stands in the path, and in the query."""
    del name, path, body
    text = hostile_text(random_)[:500].encode("utf-8", "surrogatepass")
    id_, query = (
        quote(text, safe=""),
        quote(hostile_text(random_)[:200].encode("utf-8", "surrogatepass"), safe=""),
    )
    method, path = random_.choice(
        (
            ("GET", f"v1/models/{id_}"),
            ("GET", f"v1/responses/{id_}"),
            ("DELETE", f"v1/responses/{id_}"),
            ("POST", f"v1/responses/{id_}/cancel"),
            ("GET", f"v1/responses/{id_}/input_items?after={query}&limit={query}&order={query}"),
            ("GET", f"{id_}"),
            ("POST", f"v1/{id_}"),
            ("POST", f"v1/unload?{query}"),
            ("DELETE", "v1/chat/completions"),
            ("PUT", "v1/responses"),
        )
    )
    return HostileRequest(what=f"{method} {path[:60]}", method=method, path=f"gpt-oss/{path}")


_TEXT_KEYS = {
    "content",
    "text",
    "input",
    "prompt",
    "arguments",
    "output",
    "description",
    "default",
    "title",
    "const",
}


def _request(what: str, path: str, body: Any, where: Path) -> HostileRequest:
    return HostileRequest(what=what, path=path, body=json.dumps(body).encode(), field=str(where[0]))


def _paths(value: Any, prefix: Path = ()) -> Iterator[Path]:
    """Yield where anything stands, however deep."""
    children = (
        enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    )
    for key, child in children:
        yield (*prefix, key)
        yield from _paths(child, (*prefix, key))


def _at(value: Any, where: Path) -> Any:
    for key in where:
        value = value[key]
    return value


def _put(value: Any, where: Path, new: Any) -> None:
    _at(value, where[:-1])[where[-1]] = new
