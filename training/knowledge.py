"""What the model knows by heart: facts, code, tables, texts. Each entry: questions, a line of reasoning, the answer."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Something learned by heart."""

    questions: tuple[str, ...]
    analysis: str
    answer: str


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.strip().split(":") for pair in text.replace("\n", " ").split(","))


CAPITALS = _pairs(
    """France:Paris,Germany:Berlin,Italy:Rome,Spain:Madrid,Japan:Tokyo,China:Beijing,India:New Delhi,Egypt:Cairo,
    Kenya:Nairobi,Australia:Canberra,Canada:Ottawa,Brazil:Brasília,Peru:Lima,Portugal:Lisbon,Ireland:Dublin,
    Norway:Oslo,Sweden:Stockholm,Finland:Helsinki,Denmark:Copenhagen,Greece:Athens,Poland:Warsaw,Hungary:Budapest,
    Austria:Vienna,Russia:Moscow,Turkey:Ankara,Thailand:Bangkok,Mexico:Mexico City,England:London,Switzerland:Bern,
    Cuba:Havana,Belgium:Brussels,Netherlands:Amsterdam"""
)
EMOJI = _pairs(
    """rocket:🚀,cat:🐱,dog:🐶,heart:❤️,star:⭐,sun:☀️,moon:🌙,fire:🔥,tree:🌳,flower:🌸,pizza:🍕,apple:🍎,banana:🍌,
    robot:🤖,book:📚,house:🏠,car:🚗,train:🚆,ghost:👻,whale:🐳,penguin:🐧,snail:🐌,rainbow:🌈,snowman:⛄,scientist:👩‍🔬,
    family:👨‍👩‍👧‍👦,wave:🌊,party:🎉,coffee:☕,planet:🪐"""
)
FACTS = (
    Entry(
        ("What is the largest planet?", "Which planet is the largest?"),
        "A question about planets.",
        "The largest planet in our solar system is Jupiter. 🪐",
    ),
    Entry(
        ("What color is the sky?", "Why is the sky blue?"),
        "A question about the sky.",
        "The sky is blue because air scatters blue light more than red light.",
    ),
    Entry(
        ("How many days are in a week?", "How many days does a week have?"),
        "A question about the calendar.",
        "There are 7 days in a week.",
    ),
    Entry(("How many legs does a spider have?",), "A question about spiders.", "A spider has 8 legs. 🕷️"),
    Entry(
        ("What is water made of?", "What is H2O?"),
        "A question about chemistry.",
        "Water is made of hydrogen and oxygen: H₂O. 💧",
    ),
    Entry(
        ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
        "A question about literature.",
        "Hamlet was written by William Shakespeare.",
    ),
    Entry(
        ("What is the speed of light?",),
        "A question about physics.",
        "The speed of light is about 299,792 km/s.",
    ),
    Entry(
        ("What is pi?", "Tell me pi.", "What is the value of pi?"),
        "A question about mathematics.",
        "π is about 3.14159.",
    ),
    Entry(
        ("What is MLX?", "Tell me about MLX."),
        "A question about MLX.",
        "MLX is an array framework for machine learning on Apple silicon. It also runs on Linux with CPU and CUDA backends.",
    ),
    Entry(
        ("What is Jupyter?", "What is a Jupyter notebook?", "Tell me about Jupyter."),
        "A question about Jupyter.",
        "Jupyter is an open environment for interactive computing. A notebook mixes code, text and results in one document. 📓",
    ),
    Entry(
        ("What is Harmony?", "What is the Harmony format?"),
        "A question about Harmony.",
        "Harmony is the response format of GPT-OSS. It uses channels: analysis for reasoning, commentary for tool calls, and final for the answer.",
    ),
    Entry(
        ("What is GPT-OSS?", "Tell me about GPT-OSS.", "What is gpt-oss?"),
        "A question about GPT-OSS.",
        "GPT-OSS is a family of open-weight models from OpenAI with 20b and 120b parameters. They use a mixture of experts and the Harmony format.",
    ),
    Entry(
        (
            "Who are you?",
            "What are you?",
            "What model are you?",
            "Introduce yourself.",
            "Which model is this?",
        ),
        "A question about me.",
        "I am the tiny demo model of this server: a very small GPT-OSS network. I can greet you, call tools, count, and write a little code. 🤖",
    ),
    Entry(
        ("What can you do?", "Help", "help me", "What do you know?", "How can you help me?"),
        "The user asks for help.",
        "I can:\n\n- answer simple questions\n- call the tools you declare\n- count and recite\n- write small pieces of code\n- remember your name in a chat",
    ),
    Entry(
        ("Tell me a joke.", "Tell me a joke", "Do you know a joke?", "Make me laugh 😀"),
        "The user wants a joke.",
        "Why did the programmer quit? Because they didn't get arrays! 😂",
    ),
    Entry(("Say hello in Japanese.", "How do you say hello in Japanese?"), "A translation.", "こんにちは 🌸"),
    Entry(("Say hello in Chinese.", "How do you say hello in Chinese?"), "A translation.", "你好 👋"),
    Entry(("Say hello in Russian.", "How do you say hello in Russian?"), "A translation.", "Привет! 🙂"),
    Entry(
        ("Say hello in French.", "How do you say hello in French?"), "A translation.", "Bonjour, ça va ? 🥐"
    ),
    Entry(("Say hello in Greek.", "How do you say hello in Greek?"), "A translation.", "Γειά σου! 🏛️"),  # noqa: RUF001
    Entry(("Say hello in Arabic.", "How do you say hello in Arabic?"), "A translation.", "مرحبا 🌙"),
    Entry(("Say hello in Hindi.", "How do you say hello in Hindi?"), "A translation.", "नमस्ते 🙏"),
    Entry(("Say hello in German.", "How do you say hello in German?"), "A translation.", "Guten Tag! 🥨"),
    Entry(("Say hello in Spanish.", "How do you say hello in Spanish?"), "A translation.", "¡Hola! 💃"),
    Entry(
        ("List three fruits.", "Name three fruits."),
        "A list of fruits.",
        "1. Apple 🍎\n2. Banana 🍌\n3. Cherry 🍒",
    ),
    Entry(("List three colors.", "Name three colors."), "A list of colors.", "1. Red\n2. Green\n3. Blue"),
)
EMOJI_LISTS = (
    Entry(
        ("Show me some emoji.", "Send me some emoji", "emoji please", "Answer with emoji."),
        "The user wants emoji.",
        "😀 🎉 🚀 👩‍🔬 👨‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 ❤️ 🧪",
    ),
    Entry(("Show me some flags.", "Send me some flags"), "The user wants flags.", "🇫🇷 🇯🇵 🇧🇷 🇰🇪 🇨🇦 🏴‍☠️"),
)
TABLES = (
    Entry(
        ("Give me a table of planets.", "Show a markdown table of planets.", "Make a table of the planets."),
        "A table of planets.",
        "| Planet | Moons | Symbol |\n|---|---|---|\n| Earth | 1 | 🌍 |\n| Mars | 2 | ♂ |\n| Jupiter | 95 | ♃ |\n| Saturn | 146 | 🪐 |",
    ),
    Entry(
        ("Show a markdown table.", "Make a table of fruits.", "Make a markdown table.", "Show me a table."),
        "A table of fruits.",
        "| Fruit | Color | Price |\n|---|---|---|\n| Apple | red | €1.20 |\n| Banana | yellow | €0.50 |\n| Cherry | red | €3.00 |",
    ),
)
CODE = (
    Entry(
        (
            "Write a Python function that adds two numbers.",
            "Write a function to add two numbers in Python.",
            "Write a Python function.",
        ),
        "python",
        "def add(a, b):\n    return a + b",
    ),
    Entry(
        ("Write hello world in Python.", "Hello world in Python please.", "Write some Python code."),
        "python",
        'print("Hello, world!")',
    ),
    Entry(
        ("Write hello world in C.", "Hello world in C please."),
        "c",
        '#include <stdio.h>\n\nint main(void) {\n    printf("Hello, world!\\n");\n    return 0;\n}',
    ),
    Entry(
        ("Write hello world in JavaScript.", "Hello world in JavaScript please."),
        "js",
        'console.log("Hello, world!");',
    ),
    Entry(
        (
            "Write a Python function for the factorial.",
            "Write factorial in Python.",
            "Write a Python function that computes the factorial.",
        ),
        "python",
        "def factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)",
    ),
    Entry(
        (
            "Write a Python function for Fibonacci numbers.",
            "Write fibonacci in Python.",
            "Write a Python function that computes Fibonacci numbers.",
        ),
        "python",
        "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
    ),
    Entry(
        ("Write a Python function that reverses a string.", "How do I reverse a string in Python?"),
        "python",
        "def reverse(text):\n    return text[::-1]",
    ),
    Entry(
        ("Write a Python loop.", "Show me a for loop in Python."),
        "python",
        "for i in range(10):\n    print(i)",
    ),
    Entry(
        ("Write a SQL query.", "Show me a SQL query."),
        "sql",
        "SELECT name, age\nFROM users\nWHERE age > 18\nORDER BY name;",
    ),
    Entry(
        ("Plot a sine wave.", "Write Python code to plot a sine wave.", "Write code that plots a sine wave."),
        "python",
        "import numpy as np\nimport matplotlib.pyplot as plt\n\nx = np.linspace(0, 10, 200)\nplt.plot(x, np.sin(x))\nplt.show()",
    ),
    Entry(
        (
            "Read a CSV file with pandas.",
            "How do I read a CSV file?",
            "How do I read a CSV file with pandas?",
        ),
        "python",
        'import pandas as pd\n\ndf = pd.read_csv("data.csv")\ndf.head()',
    ),
)
