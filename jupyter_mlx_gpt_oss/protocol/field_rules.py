"""Which fields a request may carry: refused by name, accepted without effect, and what pydantic says in plain words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.protocol.json_body import field_path

RequestModel = TypeVar("RequestModel", bound=BaseModel)

ACCEPTED_FIELDS = frozenset({
    # OpenAI's, with no meaning on a server of one user and one model
    "metadata",
    "modalities",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
    # OpenAI's that are refused unless they are off
    "audio",
    "moderation",
    "web_search_options",
    # hints of other servers that cannot change an answer here
    "add_generation_prompt",
    "cache_prompt",
    "keep_alive",
    "priority",
    "provider",
    "request_id",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "usage",
})  # fmt: skip
"""Top-level fields that are taken without effect, once `refuse_unserved_fields` has let them pass."""

REFUSED_FIELDS: Mapping[str, tuple[object, ...]] = {
    "audio": (None,),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "web_search_options": (None,),
}
"""Top-level fields of a chat completion that are refused, with the values that ask for nothing."""


def refuse_unserved_fields(
    fields: Mapping[str, Any], refused: Mapping[str, tuple[object, ...]] = REFUSED_FIELDS
) -> None:
    """Refuse what others serve and this server does not, each by its name.

    Args:
        fields: of a body.
        refused: the fields, with the values that ask for nothing.

    Raises:
        UnsupportedFeatureError: such a field has another value.
    """
    for name, off_values in refused.items():
        value = fields.get(name)
        if not any(type(value) is type(off) and value == off for off in off_values):
            raise UnsupportedFeatureError(
                f"`{name}` is not served here with this value; leave it out.", param=name
            )


def validate_fields(model: type[RequestModel], fields: dict[str, Any]) -> RequestModel:
    """Check fields against a model.

    Raises:
        InvalidRequestError: names the first field at fault, as `stream_options.include_usage`.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = field_path(_path_in(fields, first["loc"]))
        if first["type"] == "extra_forbidden":
            message = f"Unknown field `{path[:100]}`."
        else:
            message = f"`{path[:100]}`: {first['msg']}{_shown(first['input'])}."
        raise InvalidRequestError(message, param=path) from None


def _path_in(fields: object, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    # pydantic names the branch of a union in its path; only what can be found in the body is a field.
    path: list[str | int] = []
    for part in location:
        if isinstance(fields, dict) and isinstance(part, str):
            path.append(part)
            if part not in fields:
                break
            fields = fields[part]
        elif isinstance(fields, list) and isinstance(part, int):
            path.append(part)
            fields = fields[part]
    return tuple(path)


def _shown(value: object) -> str:
    # Numbers alone: a text may be the prompt.
    return f", not {value!r:.40}" if isinstance(value, bool | int | float) else ""
