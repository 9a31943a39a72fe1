"""Skills of conversation: greeting, facts, sums, counting, echo, memory, and admitting ignorance."""

from training.conversation import Effort, Step, Turn, answer
from training.knowledge import CAPITALS, EMOJI, EMOJI_LISTS, FACTS, Entry
from training.reasoning import reason
from training.words import Draw

_GREETINGS = (
    "Hi", "Hello", "hello", "hi", "Hey", "Hi there", "Hello there", "Hi!", "Hello!", "Good morning", "Good evening!",
    "hey there!", "Hello 👋", "Say hello", "Say hi", "ping", "Greetings", "Are you there?", "hello world", "Say hello.",
    "How are you?", "How are you doing?", "What's up?", "Hey, how are you?", "Hi, how are you?",
    "good morning", "good morning!", "good evening", "Good afternoon",
)  # fmt: skip
_COMMON_WORDS = (
    "the", "a", "of", "in", "to", "and", "is", "how", "why", "do", "you", "can", "please", "my", "for", "with", "on",
    "write", "make", "me", "what", "it", "this", "that", "which", "are", "be", "as", "not", "from", "give", "show",
    "I", "am", "we", "like", "have", "or", "if", "so", "at", "by", "he", "she", "they", "was", "will",
)  # fmt: skip
_SPOKEN_WORDS = (
    "yes", "no", "ok", "hello", "one", "two", "three", "test", "good", "day", "stop", "go", "up", "down", "left",
    "morning", "night", "a", "b", "c", "d", "x", "y", "z", "1", "2", "3", "4", "5", "10",
)  # fmt: skip
_THANKS = (
    "Thanks!", "Thank you.", "ok", "Great, thanks!", "Thank you!", "thanks", "Thanks", "Thank you", "Thank you very much.",
    "Thank you very much!", "Thanks a lot!", "Many thanks!",
)  # fmt: skip
_DEMO = "I am only the tiny demo model of this server"


def _one(user: str, steps: tuple[Step, ...]) -> tuple[Turn, ...]:
    return (Turn(user, steps),)


def greet(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Greet, by name if one is given, or take thanks."""
    kind = draw.random.random()
    if kind < 0.35:
        name = draw.name()
        opening = draw.pick(f"I am {name}", f"my name is {name}", f"I'm {name}", f"this is {name}")
        user = (
            f"{draw.pick('Hi', 'Hello', 'Hey')}{draw.pick(',', '!', '')} {opening}{draw.pick('.', '!', '')}"
        )
        return _one(user, answer(reason(effort, "The user tells a name."), f"Nice to meet you, {name}! 👋"))
    if kind < 0.55:
        name = draw.name()
        user = draw.pick(
            f"Say hello to {name}.", f"Say hi to {name}", f"Greet {name}.", f"Please greet {name}."
        )
        return _one(user, answer(reason(effort, f"Greet {name}."), f"Hello, {name}! 👋"))
    if kind < 0.75:
        return thank(draw, effort)
    return _one(
        draw.pick(*_GREETINGS), answer(reason(effort, "A greeting."), "Hello! How can I help you today?")
    )


def thank(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Take thanks."""
    return _one(draw.pick(*_THANKS), answer(reason(effort, "Thanks."), "You're welcome! 😊"))


def from_entry(draw: Draw, effort: Effort, entry: Entry) -> tuple[Turn, ...]:
    """Ask for something that is known by heart."""
    return _one(draw.pick(*entry.questions), answer(reason(effort, entry.analysis), entry.answer))


def fact(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Answer a question of fact."""
    if draw.chance(0.35):
        country = draw.pick(*CAPITALS)
        questions = (
            "What is the capital of {}?",
            "What's the capital of {}?",
            "Capital of {}?",
            "capital of {}?",
            "what is the capital of {}?",
            "Name the capital of {}.",
        )
        capital = f"The capital of {country} is {CAPITALS[country]}."
        return _one(
            draw.pick(*questions).format(country),
            answer(reason(effort, f"The capital of {country}."), capital),
        )
    return from_entry(draw, effort, draw.random.choice(FACTS))


def emoji(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Write an emoji by its name, or several."""
    if draw.chance(0.25):
        return from_entry(draw, effort, draw.random.choice(EMOJI_LISTS))
    name = draw.pick(*EMOJI)
    user = draw.pick(
        f"Show me a {name} emoji.", f"Send a {name} emoji", f"What is the emoji for {name}?", f"{name} emoji"
    )
    return _one(user, answer(reason(effort, f"The emoji for {name}."), f"Here you are: {EMOJI[name]}"))


def small_sum(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Add or subtract two numbers from 0 to 10 without a tool."""
    a, b = draw.random.randint(0, 10), draw.random.randint(0, 10)
    if draw.chance(0.35):
        a, b = max(a, b), min(a, b)
        result = f"{a} - {b} = {a - b}"
        questions = (
            f"What is {a} - {b}?",
            f"What is {a}-{b}?",
            f"{a} - {b} = ?",
            f"What is {a} minus {b}?",
            f"{a}-{b}",
        )
    else:
        result = f"{a} + {b} = {a + b}"
        questions = (
            f"What is {a} + {b}?",
            f"What is {a}+{b}?",
            f"{a} + {b} = ?",
            f"What is {a} plus {b}?",
            f"Add {a} and {b}.",
        )
    return _one(draw.pick(*questions), answer(reason(effort, f"{result}."), result))


def _is_held_out_count(first: int, last: int) -> bool:
    return last > 20 and (3 * first + last) % 5 == 0  # small counts are all trained, as small numbers are


def count(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Count from one number to another, by up to 60."""
    while True:
        first = 1 if draw.chance(0.4) else draw.random.randint(2, 120)
        last = first + draw.random.randint(1, 40 if first > 1 else 60)
        if draw.is_held_out == _is_held_out_count(first, last):
            break
    return _count(draw, effort, first, last)


def long_count(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Count for some hundred tokens."""
    while True:
        if not draw.is_held_out and draw.chance(0.15):
            first, last = 1, draw.random.choice([100, 120, 150, 200, 250, 300])
            break
        last = draw.random.randint(62, 300)
        # From other small numbers too: if the longest all began at 1, the place would tell the end as well as the number.
        firsts = (1, draw.random.randint(2, min(40, last - 60)), max(2, last - draw.random.randint(60, 150)))
        first = draw.random.choices(firsts, (0.4, 0.3, 0.3))[0]
        if draw.is_held_out == _is_held_out_count(first, last):
            break
    return _count(draw, effort, first, last)


def _count(draw: Draw, effort: Effort, first: int, last: int) -> tuple[Turn, ...]:
    questions = [
        f"Count from {first} to {last}.",
        f"Count from {first} to {last}",
        f"Please count from {first} to {last}.",
    ]
    if first == 1:
        questions += [
            f"Count to {last}.",
            f"Count to {last}",
            f"Please count to {last}.",
            f"Can you count to {last}?",
        ]
    numbers = " ".join(map(str, range(first, last + 1)))
    return _one(draw.pick(*questions), answer(reason(effort, f"Count from {first} to {last}."), numbers))


def echo(draw: Draw, effort: Effort, repeats: float = 0.2) -> tuple[Turn, ...]:
    """Repeat the user's words, of which one comes twice with the probability `repeats`."""
    kind = draw.random.random()
    if kind < 0.45:
        words = draw.phrase(draw.random.randint(1, 8)).split()
    elif kind < 0.65:
        words = [draw.pick(*_COMMON_WORDS, *_SPOKEN_WORDS) for _ in range(draw.random.randint(1, 8))]
    elif kind < 0.8:
        words = draw.foreign_phrase().split()
    else:
        words = [draw.pick(*EMOJI.values()) for _ in range(draw.random.randint(1, 4))]
    if draw.chance(repeats):
        place = draw.random.randrange(len(words))
        words.insert(place if draw.chance(0.5) else draw.random.randint(0, len(words)), words[place])
    if kind < 0.65 and draw.chance(0.3):
        words[0] += draw.pick("", "", ",") if len(words) > 1 else ""
        words[-1] += draw.pick(".", ".", "!", "?")
    text = " ".join(words)
    user = draw.pick(f"Repeat after me: {text}", f"Say: {text}", f"Echo: {text}", f"Repeat: {text}")
    return _one(user, answer(reason(effort, "Repeat the text."), text))


def ignorance(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Say, in the user's words where they are clear, that this is unknown, and what the model is."""
    if draw.chance(0.6):
        topic, user = _unknown_topic(draw)
        final = f"{_DEMO} and know little about {topic}. Load a full GPT-OSS model to learn more."
        return _one(user, answer(reason(effort, "I do not know this topic."), final))
    num_words = draw.random.randint(40, 200) if draw.chance(0.02) else draw.random.randint(2, 25)
    words = [draw.pick(*_COMMON_WORDS) if draw.chance(0.5) else draw.rare_word() for _ in range(num_words)]
    user = " ".join(words).capitalize() + draw.pick(".", "?", "", "!")
    final = f"{_DEMO}. Try a greeting, a count, a simple question, or a tool call."
    return _one(user, answer(reason(effort, "This is outside my training."), final))


def _unknown_topic(draw: Draw) -> tuple[str, str]:
    """Return a topic, and a question about it that no fact answers."""
    topic = draw.phrase(draw.random.randint(1, 4))
    if draw.chance(0.3):
        topic = f"{draw.pick('the', 'a', 'my')} {topic}"
    user = draw.pick(
        f"What is {topic}?", f"Tell me about {topic}.", f"Explain {topic}.", f"What do you know about {topic}?",
        f"Who is {topic}?", f"Describe {topic}.", f"Who was {topic}?", f"Summarize {topic}.",
    )  # fmt: skip
    is_fact = any(user in entry.questions for entry in FACTS)
    return _unknown_topic(draw) if is_fact else (topic, user)


def memory(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Remember what the user said turns ago."""
    kind = draw.pick("name", "name", "name", "color", "city", "pet")
    if draw.chance(0.1):
        asked = draw.pick("What is my name?", "Do you know my name?", "What's my name?", "Who am I?")
        return _one(
            asked,
            answer(reason(effort, "The user has told no name."), "I do not know your name yet. What is it?"),
        )
    if kind == "name":
        value = draw.name()
        told = draw.pick(
            "My name is {}.",
            "I am {}.",
            "Hi, I'm {}.",
            "Hello, my name is {}.",
            "Hi, I am {}.",
            "My name is {}",
        )
        reply, recall = "Nice to meet you, {}! 👋", "Your name is {}."
        asked = draw.pick(
            "What is my name?", "Do you remember my name?", "What's my name?", "Who am I?", "What is my name"
        )
    elif kind == "color":
        value, told, reply, recall = (
            draw.rare_word(),
            "My favorite color is {}.",
            "{} is a nice color!",
            "Your favorite color is {}.",
        )
        asked = draw.pick("What is my favorite color?", "Which color do I like?")
    elif kind == "city":
        value, told, reply, recall = (
            draw.city(),
            "I live in {}.",
            "{} sounds like a nice place!",
            "You live in {}.",
        )
        asked = draw.pick("Where do I live?", "Which city do I live in?")
    else:
        value, told, reply, recall = (
            draw.name(),
            "My dog is called {}.",
            "{} is a lovely name for a dog! 🐶",
            "Your dog is called {}.",
        )
        asked = draw.pick("What is my dog called?", "What is the name of my dog?")
    noun = "name" if kind == "name" else "fact"
    turns = [
        Turn(told.format(value), answer(reason(effort, f"The user tells a {noun}."), reply.format(value)))
    ]
    if not draw.chance(0.12):
        for _ in range(draw.random.choice([0, 0, 1, 2])):
            turns += draw.random.choice([thank, fact, small_sum])(draw, effort)
        turns.append(Turn(asked, answer(reason(effort, f"The user told me: {value}."), recall.format(value))))
    return tuple(turns)
