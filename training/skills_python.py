"""The skill of the built-in python tool: it computes, looks at the notebook's variables, plots, and takes errors up."""

from dataclasses import dataclass

from training.conversation import Effort, Step, Turn
from training.declarations import OPERATIONS
from training.reasoning import reason_about_result, reason_about_tool
from training.words import Draw

_VARIABLES = ("df", "data", "frame", "table", "sales", "measurements", "scores", "prices", "rows", "cities")
_COLUMNS = ("price", "age", "score", "degrees", "count", "city", "year", "sales", "rating", "size")


@dataclass(frozen=True, slots=True)
class _Task:
    """A question, the code that answers it, what the code puts out, and the answer."""

    question: str
    code: str
    output: str
    final: str


def python_tool(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Run code with the built-in python tool, on the analysis channel."""
    task = _arithmetic(draw) if draw.chance(0.4) else _exploration(draw)
    remark = "I have the result."
    if draw.chance(0.08):
        output = draw.pick(
            f"NameError: name '{draw.rare_word()}' is not defined",
            f"KeyError: '{draw.rare_word()}'",
            "ZeroDivisionError: division by zero",
        )
        task = _Task(task.question, task.code, output, f"The code failed: {output}")
        remark = "The code failed."
    steps = (
        Step("analysis", reason_about_tool(effort, "Run this in Python.")),
        Step("python_call", task.code),
        Step("python_result", task.output + draw.pick("", "\n")),
        Step("analysis", reason_about_result(effort, remark)),
        Step("final", task.final),
    )
    return (Turn(task.question, steps),)


def _arithmetic(draw: Draw) -> _Task:
    a, b, operation = draw.number(), draw.number(), draw.random.choice(OPERATIONS)
    value, code = operation.apply(a, b), f"print({a} {operation.sign} {b})"
    question = draw.pick(
        f"Compute {a} {operation.sign} {b} with Python.", f"What is {a} {operation.sign} {b}?", f"Run {code}"
    )
    return _Task(question, code, str(value), f"The result is {value}.")


def _exploration(draw: Draw) -> _Task:
    name = draw.pick(*_VARIABLES) if draw.chance(0.4) else draw.rare_word()
    column = draw.pick(*_COLUMNS) if draw.chance(0.5) else draw.rare_word().lower()
    value = draw.random.choice([str(draw.number()), f"{draw.number()}.{draw.random.randint(1, 99)}"])
    tasks = (
        _Task(
            draw.pick(
                f"How long is {name}?",
                f"How many rows does {name} have?",
                f"What is the length of {name}?",
            ),
            f"print(len({name}))",
            value,
            f"The result is {value}.",
        ),
        _Task(
            draw.pick(f"Show the first rows of {name}.", f"Show me the first rows of {name}."),
            f"{name}.head()",
            _rows(draw, column),
            f"Here are the first rows of {name}.",
        ),
        _Task(
            draw.pick(f"Show a summary of {name}.", f"Give me statistics of {name}."),
            f"{name}.describe()",
            _rows(draw, column),
            f"Here is a summary of {name}.",
        ),
        _Task(
            draw.pick(f"Plot the {column} of {name}.", f"Plot {column} in {name}."),
            f'{name}["{column}"].plot()',
            draw.pick("[figure 640x480]", "<Axes: >\n[figure 640x480]"),
            f"Here is a plot of {column}.",
        ),
        _Task(
            draw.pick(f"What is the mean {column} of {name}?", f"What is the mean {column} in {name}?"),
            f'{name}["{column}"].mean()',
            value,
            f"The mean {column} is {value}.",
        ),
    )
    return draw.random.choice(tasks)


def _rows(draw: Draw, column: str) -> str:
    """Return a table as pandas prints one."""
    lines = [f"{index}  {draw.city()}  {draw.number()}" for index in range(draw.random.randint(1, 4))]
    return "\n".join([f"   city  {column}", *lines])
