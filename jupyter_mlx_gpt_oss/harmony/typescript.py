"""A JSON schema to the TypeScript-like type in which GPT-OSS was taught its functions.

Written as openai-harmony 0.0.8 writes it, but for what it gets wrong: `$ref`, `anyOf`, `allOf`, `const`, numeric enums,
arrays of unions and descriptions of several lines. Source: openai/harmony docs/format.md, "Function calling".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.fields import optional_text, require_json, require_list, require_object

_MAX_NODES = 10_000
_MAX_DEPTH = 50
# Written, those of a part once more for each that holds it: far more than any context has.
_MAX_CHARS = 1 << 22
_ENTRY_CHARS = 32  # what an entry counts that `allOf` copies
_INDENT = "    "
_IDENTIFIER = re.compile(r"[\w$-]+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)  # RFC 6901, section 4
# Without the white space around it: of a long run of that, every place would be tried.
_LINE_BREAKS = re.compile(r"[\r\n]+")
_UNION_KEYS = ("anyOf", "oneOf")
_SHAPES = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties", "type"})
_PLAIN_TYPES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def schema_to_type(schema: Mapping[str, Any], param: str) -> str | None:
    """Return the type of a function's parameters, None if it takes none.

    Args:
        schema: a JSON schema; `$ref` may point into it.
        param: its path, for errors.

    Raises:
        InvalidRequestError: not JSON, a keyword of the wrong shape, too deep or too large once `$ref` is inlined.
    """
    require_json(schema, param)
    if not any(schema.get(key) for key in ("properties", "$ref", "allOf", *_UNION_KEYS)):
        has_shape = bool(schema.get("patternProperties") or schema.get("additionalProperties"))
        if not has_shape and schema.get("type", "object") == "object":
            return None
    description = one_line(optional_text(schema, "description", param))
    comment = f"// {description}\n" if description else ""
    return comment + _SchemaWriter(schema, param).type_of(schema, "")


def one_line(text: str) -> str:
    """Return the text with a space for every line break, and what is blank around it: a second line would leave its comment."""
    first, *lines = _LINE_BREAKS.split(text)
    if not lines:
        return text
    middle = (line.strip() for line in lines[:-1])
    return " ".join([first.rstrip(), *filter(None, middle), lines[-1].lstrip()])


class _SchemaWriter:
    """Write types of one schema; counts nodes, depth and characters, because `$ref` can multiply them without end."""

    def __init__(self, root: Mapping[str, Any], param: str) -> None:
        self._root = root
        self._param = param
        self._num_nodes = 0
        self._num_chars = 0
        self._depth = 0
        self._open_refs: list[str] = []
        self._merged_refs: list[str] = []

    def type_of(self, schema: Any, indent: str) -> str:
        return " | ".join(self._alternatives(schema, indent))

    def _alternatives(self, schema: Any, indent: str) -> list[str]:
        """Return the members of the union that the schema stands for, each once."""
        self._count()
        fields = {} if isinstance(schema, bool) else require_object(schema, self._param)
        found = dict.fromkeys(self._members(fields, indent))
        if fields.get("nullable") is True:
            found["null"] = None
        self._spend(sum(map(len, found)))
        self._depth -= 1
        return list(found)

    def _count(self) -> None:
        """Count a node, one level deeper."""
        self._num_nodes += 1
        self._depth += 1
        if self._num_nodes > _MAX_NODES or self._depth > _MAX_DEPTH:
            raise self._too_large()

    def _spend(self, num_chars: int) -> None:
        self._num_chars += num_chars
        if self._num_chars > _MAX_CHARS:
            raise self._too_large()

    def _too_large(self) -> InvalidRequestError:
        return InvalidRequestError(f"{self._param} is too large or too deep.", param=self._param)

    def _members(self, schema: Mapping[str, Any], indent: str) -> Iterator[str]:
        if "$ref" in schema:
            yield from self._referenced(schema["$ref"], indent)
        elif "const" in schema:
            yield _literal(schema["const"])
        elif schema.get("enum"):
            yield from map(_literal, require_list(schema["enum"], self._param))
        elif union := self._union(schema):
            for variant in union:
                yield from self._alternatives(variant, indent)
        elif schema.get("allOf"):
            yield from self._alternatives(self._merged(schema), indent)
        else:
            yield from self._typed(schema, indent)

    def _union(self, schema: Mapping[str, Any]) -> Sequence[Any]:
        """Return the members of `anyOf` or `oneOf`, each with the properties and parts beside them; none if they have no shape."""
        key = next((key for key in _UNION_KEYS if schema.get(key)), None)
        variants = require_list(schema[key], self._param) if key else ()
        if not (schema.get("properties") or schema.get("allOf")):
            return variants
        if not any(isinstance(variant, Mapping) and _SHAPES & variant.keys() for variant in variants):
            return ()
        beside = {name: value for name, value in schema.items() if name != key}
        parts = require_list(beside.pop("allOf", None) or [], self._param)
        return [self._merged({**beside, "allOf": [*parts, variant]}) for variant in variants]

    def _typed(self, schema: Mapping[str, Any], indent: str) -> Iterator[str]:
        kind = schema.get("type", "object" if "properties" in schema else None)
        kinds = kind if isinstance(kind, list) else [kind]
        for one in kinds:
            if one == "object":
                yield self._object(schema, indent)
            elif one == "array":
                yield self._array(schema, indent)
            else:
                yield _PLAIN_TYPES.get(one, "any") if isinstance(one, str) else "any"

    def _referenced(self, ref: Any, indent: str) -> Iterator[str]:
        if ref in self._open_refs:  # the type holds itself
            yield "any"
            return
        self._open_refs.append(ref)
        yield from self._alternatives(self._target(ref), indent)
        self._open_refs.pop()

    def _target(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise InvalidRequestError(f"{self._param}: $ref must point into the schema.", param=self._param)
        target: Any = self._root
        for step in ref.removeprefix("#").split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")  # RFC 6901, sections 4 and 6
            if isinstance(target, list) and _INDEX.fullmatch(key) and int(key) < len(target):
                target = target[int(key)]
            elif isinstance(target, Mapping) and key in target:
                target = target[key]
            else:
                raise InvalidRequestError(f"{self._param}: a $ref points to nothing.", param=self._param)
        return target

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in require_list(schema["allOf"], self._param):
            fields = self._flat(part)
            properties = {**self._properties(merged), **self._properties(fields)}
            required = [*self._required(merged), *self._required(fields)]
            self._spend(_ENTRY_CHARS * (len(properties) + len(required)))
            merged = {**fields, **merged}
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _flat(self, part: Any) -> Mapping[str, Any]:
        """Return a part of `allOf` without what it refers to and what it is made of itself."""
        fields = require_object(part, self._param)
        num_merged = len(self._merged_refs)
        while "$ref" in fields and fields["$ref"] not in self._merged_refs:
            self._merged_refs.append(fields["$ref"])
            fields = require_object(self._target(fields["$ref"]), self._param)
        self._count()
        flat = self._merged(fields) if "allOf" in fields else fields
        self._depth -= 1
        del self._merged_refs[num_merged:]
        if "$ref" in flat:
            raise InvalidRequestError(f"{self._param}: a type is made of itself.", param=self._param)
        return flat

    def _array(self, schema: Mapping[str, Any], indent: str) -> str:
        if isinstance(schema.get("items"), list | tuple) or "prefixItems" in schema:
            return self._tuple(schema, indent)
        if "items" not in schema:
            return "Array<any>"
        items = self._alternatives(schema["items"], indent)
        return f"{items[0]}[]" if len(items) == 1 else f"({' | '.join(items)})[]"

    def _tuple(self, schema: Mapping[str, Any], indent: str) -> str:
        """Return the type of `prefixItems`, or of a list of `items`, as drafts of JSON Schema before 2020 had it."""
        first, rest = ("prefixItems", "items") if "prefixItems" in schema else ("items", "additionalItems")
        members = [self.type_of(item, indent) for item in require_list(schema[first], self._param)]
        if isinstance(schema.get(rest), Mapping):
            members.append(f"...{self._array({'items': schema[rest]}, indent)}")
        return f"[{', '.join(members)}]"

    def _object(self, schema: Mapping[str, Any], indent: str) -> str:
        required = {name for name in self._required(schema) if isinstance(name, str)}
        lines = ["{"]
        for key, value in self._properties(schema).items():
            lines += self._property(key, value, indent, is_required=key in required)
        others = self._others(schema)
        if others:
            types = dict.fromkeys(
                kind for other in others for kind in self._alternatives(other, indent + _INDENT)
            )
            lines.append(f"{indent}[key: string]: {' | '.join(types)},")
        return "\n".join([*lines, f"{indent}}}"])

    def _property(self, key: str, schema: Any, indent: str, *, is_required: bool) -> Iterator[str]:
        fields = {} if isinstance(schema, bool) else require_object(schema, self._param)
        for comment in self._comments(fields):
            yield f"{indent}//{comment}"
        name = key if _IDENTIFIER.fullmatch(key) else _literal(key)
        default = f" // default: {_default(fields)}" if "default" in fields else ""
        yield f"{indent}{name}{'' if is_required else '?'}: {self.type_of(schema, indent + _INDENT)},{default}"

    def _comments(self, schema: Mapping[str, Any]) -> Iterator[str]:
        title = optional_text(schema, "title", self._param)
        if title:
            yield f" {one_line(title)}"
            yield ""
        description = optional_text(schema, "description", self._param)
        if description:
            yield f" {one_line(description)}"
        examples = schema.get("examples")
        if isinstance(examples, list) and examples:
            yield " Examples:"
            yield from (f" - {_literal(example)}" for example in examples)

    def _others(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return the schemas of keys that are not named; that any key may stand beside named ones goes without saying."""
        patterns = require_object(schema.get("patternProperties") or {}, self._param)
        others = list(patterns.values())
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping) or (
            additional is True and not (others or schema.get("properties"))
        ):
            others.append(additional)
        return others

    def _required(self, schema: Mapping[str, Any]) -> Sequence[Any]:
        return require_list(schema.get("required") or [], self._param)

    def _properties(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return require_object(schema.get("properties") or {}, self._param)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _default(schema: Mapping[str, Any]) -> str:
    value = schema["default"]
    return one_line(value) if isinstance(value, str) and schema.get("enum") else _literal(value)
