"""Cells that show what `%%oss` can do, and what the model plays in them."""

from tests.support.answer_book import AnswerBook, Gate, call, final, python, thought

BALL = "How far does a ball fly that I throw at 20 m/s?"
SLOW_BALL = f"{BALL} Take your time."
THINKING, WRITING, NEVER = Gate("thinking"), Gate("writing"), Gate("never")
BALL_THOUGHT = (
    "The user asks for the range of a projectile. Without air, the range is v squared times the sine of twice the "
    "angle, over g. At 45 degrees the sine is one, so that the range is largest there. I will give the formula, "
    "a small table for three angles, and a few lines of Python that compute it for any angle."
)
BALL_ANSWER = r"""Without air, a ball that leaves your hand at the angle \(\theta\) lands after

\[ R = \frac{v^2 \sin 2\theta}{g} \]

| angle | range | time in the air |
|------:|------:|----------------:|
| 30° | 35.3 m | 2.0 s |
| 45° | **40.8 m** | 2.9 s |
| 60° | 35.3 m | 3.5 s |

So aim at *45°*. For any other angle:

```python
from math import radians, sin

def range_of(angle: float, v: float = 20.0, g: float = 9.81) -> float:
    # metres, without air
    return v**2 * sin(radians(2 * angle)) / g

print(f"{range_of(45):.1f} m")
```
"""

TOOLS = '''import pandas as pd
from jupyter_mlx_gpt_oss import tool

@tool
def find_city(name: str) -> dict:
    """Find a city."""
    return {"name": name, "country": "Japan", "people": 1_464_000}

@tool
def forecast(city: str, days: int = 3) -> pd.DataFrame:
    """Forecast the weather."""
    sky = ["sunny", "cloudy", "rain"]
    return pd.DataFrame({"degrees": [21, 18, 15], "sky": sky}, index=["Mon", "Tue", "Wed"])[:days]'''
WEATHER = "Do I need an umbrella in Kyoto this week?"
WEATHER_ANSWER = "On **Wednesday**: rain is forecast, at 15 °C. Monday and Tuesday stay dry."

FRAME = """import pandas as pd
rides = pd.DataFrame({"hour": range(24), "bikes": [2, 1, 1, 0, 1, 5, 19, 44, 61, 38, 27, 29,
                                                   35, 33, 30, 36, 52, 71, 63, 41, 26, 18, 11, 5]})"""
PLOT = "When are most of the bikes in `rides` out? Plot it."
PLOT_CODE = """import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6, 2.4))
ax.bar(rides["hour"], rides["bikes"], color="#3b7dd8")
ax.set_xlabel("hour")
ax.set_ylabel("bikes")
plt.show()
rides.nlargest(3, "bikes")"""
PLOT_ANSWER = "At **17 h**, when 71 bikes are out; a second peak stands at 8 h."

PRIMES = "How many primes are below 100?"
PRIMES_CODE = """count = sum(all(n % d for d in range(2, n)) for n in range(2, 100))
count"""

ENDLESS = "Count until I stop you."
FIRST = "My name is Ada."
SECOND = "What is my name?"

BOOK = AnswerBook(
    tokens_per_second=80,
    answers={
        BALL: [[thought(BALL_THOUGHT), final(BALL_ANSWER)]],
        SLOW_BALL: [
            [
                f"<|channel|>analysis<|message|>{BALL_THOUGHT[:200]}",
                THINKING,
                f"{BALL_THOUGHT[200:]}<|end|><|start|>assistant<|channel|>final<|message|>{BALL_ANSWER[:250]}",
                WRITING,
                f"{BALL_ANSWER[250:]}<|return|>",
            ]
        ],
        WEATHER: [
            [thought("I should look at the city first."), call("find_city", name="Kyoto")],
            [call("forecast", city="Kyoto", days=3)],
            [thought("Rain on Wednesday only."), final(WEATHER_ANSWER)],
        ],
        PLOT: [
            [thought("Let me plot the bikes by hour and look at the largest."), python(PLOT_CODE)],
            [final(PLOT_ANSWER)],
        ],
        PRIMES: [[python(PRIMES_CODE)], [final("There are **25**.")]],
        ENDLESS: [[thought("They will stop me."), "<|channel|>final<|message|>One, two, three, ", NEVER]],
        FIRST: [[final("Hello Ada.")]],
        SECOND: [[final("You are Ada.")]],
    },
)
