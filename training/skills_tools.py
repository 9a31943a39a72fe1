"""Skills with declared functions: one call, two calls, typed arguments, errors, and follow-up questions."""

import json
from dataclasses import replace

from training.conversation import Effort, Step, Turn
from training.declarations import (
    OPERATIONS,
    Declaration,
    arguments_for,
    compact_json,
    result_text,
)
from training.reasoning import reason_about_result, reason_about_tool
from training.words import Draw

_CONDITIONS = ("sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy", "warm", "cold")
_FAILURES = (
    "unknown city", "timeout", "not found", "connection refused", "division by zero", "permission denied",
    "rate limit exceeded", "invalid argument", "no such file", "service unavailable", "no data", "network unreachable",
)  # fmt: skip

_EXCEPTIONS = ("ValueError", "TypeError", "KeyError", "RuntimeError", "TimeoutError", "Invalid arguments")


def _exchange(declared: Declaration, arguments: dict[str, object], result: str) -> tuple[Step, Step]:
    name = declared.tool.name
    return Step("call", compact_json(arguments), name), Step("result", result, name)


def _plan(declared: Declaration, *arguments: str) -> str:
    """Return the plan of a call: what is asked, then the tool whose name ends so, then its arguments."""
    given = ", ".join(f"{key} {value}" for key, value in zip(declared.parameters, arguments, strict=True))
    return f"The {declared.noun}: {declared.tool.name}" + (f" with {given}." if given else ".")


def _one_call(effort: Effort, user: str, plan: str, exchange: tuple[Step, Step], final: str) -> Turn:
    steps = (
        Step("analysis", reason_about_tool(effort, plan)),
        *exchange,
        Step("analysis", reason_about_result(effort, "I have the result.")),
        Step("final", final),
    )
    return Turn(user, steps)


def _weather_result(draw: Draw, city: str) -> tuple[str, str]:
    """Return a result and the clause that reports it."""
    degrees, condition = draw.random.randint(-9, 39), draw.pick(*_CONDITIONS)
    clause = f"is {condition} with {degrees} °C"
    temperature, sky = draw.random.choice(
        [("temperature", "condition"), ("temp", "conditions"), ("temperature_c", "sky")]
    )
    record: dict[str, object] = {temperature: degrees, sky: condition}
    if draw.chance(0.2):
        record = {sky: condition, temperature: degrees}
    if draw.chance(0.2):
        record = {"city": city, **record}
    dumped = compact_json(record) if draw.chance(0.5) else json.dumps(record, ensure_ascii=False)
    plain = draw.pick(
        f"{degrees}°C and {condition}", f"{condition}, {degrees} degrees", f"{condition}, {degrees} °C", f"{degrees} °C, {condition}",
        f"{condition}, {degrees}°C", f"It is {condition} and {degrees} degrees in {city}.",
        f"It is {condition} in {city}, {degrees} degrees.", f"It is {condition} in {city}, {degrees} degrees.",
        f"{city}: {condition}, {degrees} °C", f"{condition} and {degrees} degrees",
    )  # fmt: skip
    return draw.random.choice([dumped, dumped, plain]), clause


def _ask_weather(draw: Draw, city: str) -> str:
    return draw.pick(
        f"What is the weather in {city}?", f"What's the weather in {city}?", f"What's the weather like in {city}?",
        f"How is the weather in {city} today?", f"Weather in {city}?", f"weather in {city}", f"Tell me the weather in {city}.",
        f"Is it raining in {city}?", f"What is the weather like in {city} today?", f"How warm is it in {city}?",
        f"What is the weather in {city} right now?", f"Get the weather for {city}.",
    )  # fmt: skip


def _weather_turn(draw: Draw, effort: Effort, declared: Declaration, city: str, user: str) -> Turn:
    if draw.chance(0.12):
        result = draw.phrase(draw.random.randint(2, 4))
        final = f"The weather in {city}: {result}"
    else:
        result, clause = _weather_result(draw, city)
        final = f"The weather in {city} {clause}."
    exchange = _exchange(declared, {declared.parameters[0]: city}, result)
    return _one_call(effort, user, _plan(declared, city), exchange, final)


def weather_tool(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Ask for the weather, and sometimes for another city's after that."""
    city, other = draw.city(), draw.city()
    turns = [_weather_turn(draw, effort, declared, city, _ask_weather(draw, city))]
    if draw.chance(0.25):
        user = draw.pick(f"And in {other}?", f"What about {other}?", _ask_weather(draw, other))
        turns.append(_weather_turn(draw, effort, declared, other, user))
    return tuple(turns)


def lookup_tool(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Use a function of one string that was never seen before, and sometimes use it again."""
    num_turns = draw.random.choice([1, 1, 1, 1, 1, 2])
    return tuple(_lookup_turn(draw, effort, declared) for _ in range(num_turns))


def _lookup_turn(draw: Draw, effort: Effort, declared: Declaration) -> Turn:
    noun, name = declared.noun, declared.tool.name
    subject, value = (
        draw.random.choice([draw.name, draw.city, draw.rare_word, draw.phrase])(),
        _result_value(draw),
    )
    user = draw.pick(
        f"What is the {noun} of {subject}?", f"What is the {noun} for {subject}?", f"Look up the {noun} for {subject}.",
        f"Find the {noun} of {subject}.", f"Give me the {noun} of {subject}, please.", f"Use {name} with {subject}.",
        f"Call {name} for {subject}.",
    )  # fmt: skip
    exchange = _exchange(declared, {declared.parameters[0]: subject}, result_text(draw, noun, value))
    return _one_call(
        effort, user, _plan(declared, subject), exchange, f"The {noun} for {subject} is {value}."
    )


def _result_value(draw: Draw) -> str | int:
    kind = draw.random.random()
    if kind < 0.5:
        return draw.number()
    return draw.rare_word(capitalised=draw.chance(0.7)) if kind < 0.9 else draw.phrase(2)


def arithmetic_tool(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Use a function of two numbers."""
    operation = next(known for known in OPERATIONS if known.name == declared.tool.name)
    a, b = draw.number(), draw.number()
    value = operation.apply(a, b)
    user = draw.pick(
        f"What is {a} {operation.sign} {b}?", f"What is {a} {operation.word} {b}?", f"Compute {a} {operation.sign} {b}.",
        f"Use {operation.name} with {a} and {b}.", f"What is the {operation.noun} of {a} and {b}?",
        f"{operation.name.capitalize()} {a} and {b}.",
    )  # fmt: skip
    result = draw.pick(str(value), str(value), compact_json({"result": value}), json.dumps({"result": value}))
    exchange = _exchange(declared, dict(zip(declared.parameters, (a, b), strict=True)), result)
    turn = _one_call(
        effort,
        user,
        _plan(replace(declared, noun=operation.noun), str(a), str(b)),
        exchange,
        f"The result is {value}.",
    )
    return (turn,)


def typed_tool(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Use a function of two or three parameters of different types, named in the question."""
    arguments, question = arguments_for(draw, declared)
    if not question and draw.chance(0.25):  # the order of the question is that of the call
        arguments = dict(draw.random.sample(list(arguments.items()), len(arguments)))
    name, value = declared.tool.name, _result_value(draw)
    written = {
        key: compact_json(item) if isinstance(item, bool) else str(item) for key, item in arguments.items()
    }
    sign = draw.pick(" ", " ", " = ", ": ")
    parts = [f"{key}{sign}{item}" for key, item in written.items()]
    listed = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    user = draw.pick(
        f"Use {name} with {listed}.",
        f"Call {name} with {listed}.",
        f"What is the {declared.noun} for {listed}?",
    )
    user = question or user
    exchange = _exchange(declared, arguments, result_text(draw, declared.noun, value))
    turn = _one_call(
        effort,
        user,
        _plan(replace(declared, parameters=tuple(written)), *written.values()),
        exchange,
        f"The {declared.noun} is {value}.",
    )
    return (turn,)


def parameterless_tool(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Use a function without parameters."""
    name, noun, value = declared.tool.name, declared.noun, _result_value(draw)
    if noun == "time":
        value = f"{draw.random.randint(0, 23):02d}:{draw.random.randint(0, 59):02d}"
    user = draw.pick(
        f"What is the {noun}?", f"What's the {noun}?", f"Tell me the {noun}.", f"Use {name}.", f"Call {name}."
    )
    if noun == "time" and draw.chance(0.4):
        user = "What time is it?"
    exchange = _exchange(declared, {}, result_text(draw, noun, value))
    return (_one_call(effort, user, _plan(declared), exchange, f"The {noun} is {value}."),)


def tool_error(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Say that a tool failed, and why."""
    message = draw.pick(*_FAILURES) if draw.chance(0.5) else draw.phrase(draw.random.randint(1, 4))
    is_exception = draw.chance(0.45)
    if is_exception:
        error = draw.pick(*_EXCEPTIONS)
        message = f"{error}: {message}"
    result = draw.pick(
        message if is_exception else f"error: {message}",
        f"error: {message}",
        f"Error: {message}",
        compact_json({"error": message}),
        json.dumps({"error": message}),
    )
    name = declared.tool.name
    subject = (
        draw.city()
        if declared.noun == "weather"
        else draw.random.choice([draw.name, draw.city, draw.rare_word])()
    )
    user = (
        _ask_weather(draw, subject)
        if declared.noun == "weather"
        else f"What is the {declared.noun} of {subject}?"
    )
    exchange = _exchange(declared, {declared.parameters[0]: subject}, result)
    steps = (
        Step("analysis", reason_about_tool(effort, _plan(declared, subject))),
        *exchange,
        Step("analysis", reason_about_result(effort, "The tool failed.")),
        Step("final", f"The tool {name} failed: {message}"),
    )
    return (Turn(user, steps),)


def _report(draw: Draw, declared: Declaration, subject: str) -> tuple[str, str]:
    """Return a tool's result about `subject`, and the clause that reports it."""
    if declared.noun == "weather":
        return _weather_result(draw, subject)
    value = _result_value(draw)
    return result_text(draw, declared.noun, value), f"has the {declared.noun} {value}"


def compare(draw: Draw, effort: Effort, declared: Declaration) -> tuple[Turn, ...]:
    """Call one function twice in a turn, after a preamble, and put both results into the answer."""
    noun, parameter = declared.noun, declared.parameters[0]
    make = draw.city if noun == "weather" else draw.random.choice([draw.name, draw.city, draw.rare_word])
    first, second = make(), make()
    while first == second:
        second = make()
    first_result, first_clause = _report(draw, declared, first)
    second_result, second_clause = _report(draw, declared, second)
    user = draw.pick(
        f"Compare the {noun} in {first} and {second}.", f"Compare the {noun} of {first} and {second}.",
        f"Compare {noun}: {first} and {second}.", f"What is the {noun} in {first} and in {second}?",
        f"What is the {noun} in {first} and {second}?",
    )  # fmt: skip
    steps = (
        Step("analysis", reason_about_tool(effort, _plan(declared, first))),
        Step("preamble", f"I will look up {first} first, then {second}."),
        *_exchange(declared, {parameter: first}, first_result),
        Step("analysis", reason_about_tool(effort, _plan(declared, second))),
        *_exchange(declared, {parameter: second}, second_result),
        Step("analysis", reason_about_result(effort, "I have both results.")),
        Step("final", f"{first} {first_clause}, and {second} {second_clause}."),
    )
    return (Turn(user, steps),)
