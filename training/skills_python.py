"""The skill of the built-in python tool: it computes, looks at the notebook's variables, plots, and takes errors up."""

from dataclasses import dataclass

from training.conversation import Effort, Step, Turn
from training.declarations import OPERATIONS
from training.reasoning import reason_about_result, reason_about_tool
from training.words import Draw, is_copied_after

_VARIABLES = ("df", "data", "frame", "table", "sales", "measurements", "scores", "prices", "rows", "cities")
_COLUMNS = ("price", "age", "score", "degrees", "count", "city", "year", "sales", "rating", "size")

_STATISTICS = ("count", "mean", "std", "min", "25%", "50%", "75%", "max")


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
    if draw.chance(0.12):
        error = draw.pick(
            f"NameError: name '{draw.rare_word()}' is not defined",
            f"NameError: name '{draw.pick(*_VARIABLES)}' is not defined",
            f"KeyError: '{draw.rare_word()}'",
            "ZeroDivisionError: division by zero",
        )
        task = _Task(
            task.question, task.code, _traceback(draw, task.code, error), f"The code failed: {error}"
        )
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
    name = draw.pick(*_VARIABLES) if draw.chance(0.4) else _new_variable(draw)
    column = draw.pick(*_COLUMNS) if draw.chance(0.5) else draw.identifier()
    count, mean = str(draw.number()), _mean(draw)
    tasks = (
        _Task(
            draw.pick(
                f"How long is {name}?",
                f"How many rows does {name} have?",
                f"What is the length of {name}?",
            ),
            f"print(len({name}))",
            count,
            f"The result is {count}.",
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
            _summary(draw, column) if draw.chance(0.7) else _rows(draw, column),
            f"Here is a summary of {name}.",
        ),
        _Task(
            draw.pick(f"Plot the {column} of {name}.", f"Plot {column} in {name}."),
            f'{name}["{column}"].plot()',
            _figure(draw, column),
            f"Here is a plot of {column}.",
        ),
        _Task(
            draw.pick(f"What is the mean {column} of {name}?", f"What is the mean {column} in {name}?"),
            f'{name}["{column}"].mean()',
            f"np.float64({mean})" if draw.chance(0.6) else mean,
            f"The mean {column} is {mean}.",
        ),
    )
    return draw.random.choice(tasks)


def _new_variable(draw: Draw) -> str:
    """Return a rare word that can be copied into `print(len(word))`."""
    while True:
        word = draw.rare_word()
        if is_copied_after("(", word):
            return word


def _figure(draw: Draw, column: str) -> str:
    """Return what a plot puts out: its axes, where the code ends in them, and the size of the picture."""
    axes = draw.pick("", "<Axes: >\n", "<Axes: xlabel='city'>\n", f"<Axes: xlabel='{column}'>\n")
    width, height = draw.random.randint(300, 1600), draw.random.randint(200, 1200)
    return axes + draw.pick("[figure 640x480]", f"[figure {width}x{height}]")


def _mean(draw: Draw) -> str:
    """Return a number as Python prints one: whole, with a few digits, or with all of them."""
    whole = draw.number()
    if draw.chance(0.2):
        num_rows = draw.random.randint(2, 500)
        return str(whole + draw.random.randrange(1, num_rows) / num_rows)
    return draw.pick(str(whole), f"{whole}.0", f"{whole}.{draw.random.randint(1, 99)}")


def _traceback(draw: Draw, code: str, error: str) -> str:
    """Return an error as the python tool reports it (`magics/short_traceback.py`), or its last line alone."""
    if draw.chance(0.2):
        return error
    return f'Traceback (most recent call last):\n  File "<cell>", line 1, in <module>\n    {code}\n{error}'


def _rows(draw: Draw, column: str) -> str:
    """Return a table as pandas prints one."""
    count = draw.random.randint(1, 4)
    columns = [("city", [draw.city() for _ in range(count)]), (column, [_mean(draw) for _ in range(count)])]
    if draw.chance(0.3):
        columns.insert(0, ("name", [draw.name() for _ in range(count)]))
    lines = ["" if index < 0 else str(index) for index in range(-1, count)]
    lines = [line.ljust(max(map(len, lines))) for line in lines]
    for title, values in columns:
        width = max(map(len, (title, *values)))
        lines = [f"{line}  {cell:>{width}}" for line, cell in zip(lines, (title, *values), strict=True)]
    return "\n".join(lines)


def _summary(draw: Draw, column: str) -> str:
    """Return what pandas prints of a table's `describe()`."""
    values = [f"{draw.number()}.{draw.random.randint(0, 999999):06d}" for _ in _STATISTICS]
    width = max(map(len, (column, *values)))
    lines = [f"{name:<5}  {value:>{width}}" for name, value in zip(_STATISTICS, values, strict=True)]
    return "\n".join([f"{'':5}  {column:>{width}}", *lines])
