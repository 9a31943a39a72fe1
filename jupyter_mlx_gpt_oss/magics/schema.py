"""`--schema`: a type or a JSON schema of the notebook to a response format, and an answer's text back to a value.

Knows pydantic, so it is imported when a cell has a schema. Knows nothing of IPython or HTTP.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import pydantic

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.tools import UntitledJsonSchema, validation_faults
from jupyter_mlx_gpt_oss.magics.variables import bounded

MAX_FAULT_CHARS = 300
# OpenAI API reference, response_format.json_schema.name
MAX_NAME_CHARS = 64
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """What an answer must look like.

    `adapter` makes a value of the JSON; None where the notebook gave a JSON schema, whose values are plain.
    """

    name: str
    json_schema: dict[str, Any]
    adapter: pydantic.TypeAdapter[Any] | None

    @property
    def response_format(self) -> dict[str, Any]:
        """The schema as OpenAI's `response_format`."""
        name = _NOT_IN_A_NAME.sub("_", self.name)[:MAX_NAME_CHARS]
        return {"type": "json_schema", "json_schema": {"name": name, "schema": self.json_schema}}

    def parse(self, text: str) -> tuple[Any, str]:
        """Return the value of an answer's text, and an empty line; or None, and in one line what does not fit."""
        try:
            if self.adapter is None:
                return json.loads(text), ""
            return self.adapter.validate_json(text), ""
        except pydantic.ValidationError as error:
            fault = validation_faults(error)
        except ValueError as error:
            fault = f"it is no JSON: {error}"
        except (Exception, SystemExit) as error:  # noqa: BLE001  validators are the user's code
            fault = f"{type(error).__name__}: {error}"
        return None, bounded(f"The answer does not fit {self.name}: {fault}", MAX_FAULT_CHARS)


def read_schema(name: str, value: Any) -> AnswerSchema:
    """Return the schema that a variable of the notebook stands for.

    Args:
        name: of the variable.
        value: a pydantic model, a dataclass, any other type that pydantic knows, or a JSON schema as a dict.

    Raises:
        MagicUsageError: it is none of these.
    """
    if isinstance(value, dict):
        return AnswerSchema(name, _checked_json(name, value), None)
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(value)
        json_schema = adapter.json_schema(schema_generator=UntitledJsonSchema)
    except (NameError, TypeError, ValueError, pydantic.errors.PydanticUserError) as error:
        first_line = str(error).partition("\n")[0]
        raise MagicUsageError(f"--schema {name}: {first_line}") from error
    return AnswerSchema(name, json_schema, adapter)


def _checked_json(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise MagicUsageError(f"--schema {name}: the dict is no JSON schema: {error}.") from error
    return schema
