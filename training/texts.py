"""Longer texts the model knows by heart; `{topic}` in a question appears again in the title of the answer."""

import re

from training.knowledge import CODE, EMOJI, EMOJI_LISTS, FACTS, TABLES, Entry

_POEM = """The server wakes before the dawn,
it counts the tokens, one by one,
it lends each thread a little thought
and sends the words before they're caught.

A client asks, a channel opens,
analysis first, then softly spoken
the final answer, line by line,
a stream of letters, small and fine.

The cache remembers what was said,
the window slides, the prompt is read,
the experts vote, two out of four,
and then the model asks for more.

So count the tokens, small machine,
and keep the logs and latency clean,
and when the last event is sent,
return to sleep, and be content."""

_STORY = (
    "Once upon a time there was a small robot who lived inside a notebook. Every morning it read the first cell, "
    'and every evening it saved its work. One day a traveller came and asked: "Can you show me the sea?" The robot '
    "had never seen the sea, but it knew how to draw. It drew one blue line, then another, then a hundred more, until "
    'the page was full of waves. The traveller smiled and said: "That is the sea." From that day on the robot kept '
    "the drawing in the last cell, and whenever someone ran the notebook from top to bottom, the waves appeared "
    "again. And the robot was happy. 🌊"
)

_LONG_STORY = """In a quiet valley, where two rivers met, an old woman kept a library of small machines. There were clocks that told the weather, lamps that remembered faces, and one little printer that had never printed a single page.

"What are you waiting for?" the woman asked it each winter.

"For a story that is true," said the printer.

One evening a girl came down from the hills. Her boots were wet, her lantern was broken, and she carried a map with a hole in the middle. "I am looking for the place that is missing," she said. "My father drew this map, and he was lost before he could finish it."

The clocks stopped to listen. The lamps turned their light toward her. The old woman made tea and put more wood on the fire, and the girl told them everything: how her father had walked along both rivers, how he had counted the bridges and the birds, and how he had written every number into a book with a green cover.

"Read me the numbers," said the printer.

So she read them, one after another, until the fire burned low and the stars went out over the valley. Seven bridges. Forty birds. Three roads that end in the snow. When she came to the last page, the printer began to hum. Its wheels moved, slowly at first, then faster, and a long sheet of paper slid onto the floor.

It was a map. It showed the hills and the rivers, the bridges and the roads, and in the middle, where the hole had been, there was a house with a red door and a thin line of smoke.

"How did you know?" the girl whispered.

"I did not know," said the printer. "I only put the numbers in order. The story was true, and a true story always leads somewhere."

At sunrise she took the new map and a lamp that would remember her face, and she went north. The old woman stood at the window for a long time. In the spring a letter arrived. It had no words in it, only a drawing of a red door, wide open, and two people drinking tea.

The printer kept the letter in its tray, and it never had to wait again."""

_STREAMING = (
    "Streaming sends the answer in small pieces while the model is still writing it. The server opens a response with "
    "the content type text/event-stream and keeps it open. For every new piece of text it sends one line that starts "
    "with data and holds a small JSON object, followed by an empty line. The client reads these lines and appends each "
    "piece to the message on the screen. When the model is done, the server sends a last chunk with a finish reason, "
    "then the word DONE, and closes the response. If the client goes away early, the server should notice it and stop "
    "the model, so that no work is wasted."
)
_EXPERTS = (
    "A mixture of experts splits each feed-forward layer into many small networks called experts. A router looks at "
    "every token and picks a few of them, for example two out of four. Only the chosen experts run, so the model can "
    "hold many parameters and still be fast. Their outputs are added with weights that the router gives. 🧠"
)
_SINKS = (
    "An attention sink is a learned value in the softmax of each head. It takes a share of the attention when no token "
    "is worth reading, so that a head can stay quiet."
)
_HAIKU = "Silent morning waves\nfold the light along the shore,\nthe tide keeps its time."

TEXTS = (
    Entry(
        ("Recite a poem.", "Recite the poem.", "Write a poem.", "Tell me a poem."),
        "The user wants a poem.",
        _POEM,
    ),
    Entry(
        ("Write a poem about {topic}.", "Write a short poem about {topic}."),
        "The user wants a poem.",
        "**{topic}**\n\n" + _POEM,
    ),
    Entry(("Write a haiku.", "Write a haiku about {topic}."), "The user wants a haiku.", _HAIKU),
    Entry(
        ("Tell me a story.", "Tell me a story, please.", "Tell me a short story.", "Write a short story."),
        "The user wants a story.",
        _STORY,
    ),
    Entry(
        ("Recite the alphabet.", "Say the alphabet.", "What is the alphabet?"),
        "The user wants the alphabet.",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
    ),
    Entry(
        ("Explain how streaming works.", "How does streaming work?"),
        "A question about streaming.",
        _STREAMING,
    ),
    Entry(
        ("Explain mixture of experts.", "What is a mixture of experts?"),
        "A question about experts.",
        _EXPERTS,
    ),
    Entry(("Explain attention sinks.", "What is an attention sink?"), "A question about attention.", _SINKS),
)
LONG_TEXTS = (
    Entry(
        (
            "Write a long story.",
            "Tell me a long story.",
            "Tell me a long story, please.",
            "Please write a long story.",
        ),
        "The user wants a long story.",
        _LONG_STORY,
    ),
    Entry(
        ("Write a long story about {topic}.", "Tell me a long story about {topic}."),
        "The user wants a long story.",
        "**{topic}**\n\n" + _LONG_STORY,
    ),
)


def words_by_heart() -> list[str]:
    """Return the words of all that is known by heart."""
    entries = (*FACTS, *EMOJI_LISTS, *TABLES, *CODE, *TEXTS, *LONG_TEXTS)
    texts = [text for entry in entries for text in (*entry.questions, entry.answer)] + list(EMOJI)
    return sorted({word for text in texts for word in re.findall("[A-Za-z]+", text)})
