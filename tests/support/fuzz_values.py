"""Turn a value that is right into values that are nearly so, for what is fuzzed."""

from typing import Any

from hypothesis import strategies as st

_json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi <|end|>"}]},
    {
        "role": "assistant",
        "reasoning": "Hm.",
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "Sun."},
    {"role": "assistant", "content": "Sun.", "refusal": None},
]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get it.",
        "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Bern"]}}},
    },
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    if isinstance(value, dict):
        return {**value, key: _replaced(value[key], tuple(rest), new)}
    return [*value[:key], _replaced(value[key], tuple(rest), new), *value[key + 1 :]]


def mutants(seed: Any) -> st.SearchStrategy[Any]:
    """Values like the seed, with other values in up to two places."""
    place = st.sampled_from(_places(seed))
    changes = st.lists(st.tuples(place, _json_values), max_size=2)

    def changed(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
        value = seed
        for path, new in sorted(changes, key=lambda change: len(change[0]), reverse=True):
            if path in _places(value):
                value = _replaced(value, path, new)
        return value

    return changes.map(changed)
