"""Names, cities, numbers and rare words, split into what is trained and what only the evaluation sees.

A word is *steady* when it has the same tokens (leading space aside) inside a sentence and after a quotation mark;
only steady words can be copied token by token, so only they are held out. The others are learned by heart.
"""

import os
import random
import re
from functools import cache, cached_property
from pathlib import Path

from openai_harmony import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding

from jupyter_mlx_gpt_oss import vocabulary
from jupyter_mlx_gpt_oss.demo.codes import base_token_ids, leading_classes
from training.texts import words_by_heart
from training.word_lists import CITIES, HELD_OUT_CITIES, HELD_OUT_NAMES, NAMES

_SPECIAL_TOKENS = frozenset(vocabulary.SPECIAL_TOKENS)


@cache
def encoding() -> HarmonyEncoding:
    """Return openai-harmony's encoding, loaded from the vocabulary this package ships."""
    with vocabulary.directory() as directory:
        os.environ.setdefault("TIKTOKEN_ENCODINGS_BASE", str(directory))
        return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def encode(text: str) -> list[int]:
    """Return the token ids of `text`, in which special tokens may be spelled out."""
    # Only these: openai-harmony's own set has a thousand names, whose copying takes fifteen times as long as the text.
    ids: list[int] = encoding().encode(text, allowed_special=_SPECIAL_TOKENS, disallowed_special=())
    return ids


@cache
def is_steady(word: str) -> bool:
    """Tell whether `word` has the same tokens with and without a space before it."""
    base_ids = base_token_ids()
    return [base_ids[token] for token in encode(word)] == [base_ids[token] for token in encode(f" {word}")]


@cache
def is_copied_after(before: str, word: str) -> bool:
    """Tell whether `word` has the tokens after `before` that it has after a space: `(sales` is `(s` and `ales`."""
    base_ids = base_token_ids()
    said, there = ([base_ids[token] for token in encode(text)] for text in (f" {word}", before + word))
    return there[-len(said) :] == said


def is_held_out_number(number: int) -> bool:
    """Tell whether only the evaluation may ask for `number`."""
    return number > 20 and number % 13 == 5


@cache
def own_words() -> frozenset[str]:
    """Return the words of the corpus's own sentences, names and lists and the tokens that spell them, in lower case.

    They are all that its source files hold. `inform`, of `informally`, is known as something else than a name too.
    """
    sources = Path(__file__).parent.glob("*.py")
    words = {word for path in sources for word in re.findall("[A-Za-z]+", path.read_text())}
    spelled = {
        encoding().decode([token]).strip() for word in words for token in encode(word) + encode(f" {word}")
    }
    return frozenset(word.lower() for word in words | spelled)


class _RareWords:
    """Words of the vocabulary that exist with and without a leading space, one token each."""

    def __init__(self) -> None:
        self._text_of = {token_id: token for token, token_id in vocabulary.token_ranks().items()}
        classes = leading_classes()
        word = re.compile(rb" [A-Za-z]{3,12}")
        spaced = [
            i for token, i in vocabulary.token_ranks().items() if classes[i] == 1 and word.fullmatch(token)
        ]
        words = [self._text_of[i].decode().strip() for i in sorted(spaced)]
        random.Random(7).shuffle(words)
        special = {part for text in HELD_OUT_NAMES + HELD_OUT_CITIES for part in text.split()}
        words = [text for text in words if text not in special]
        # From a fixed share: a sentence more in the corpus takes words out, and lets none in that was trained.
        self.held_out = [word for word in words[:900] if word.lower() not in own_words()]
        self.trained = sorted(set(words) - set(self.held_out))

    @cached_property
    def tails(self) -> list[str]:
        """Endings that make a word of two tokens."""
        return [token.decode() for token in vocabulary.token_ranks() if re.fullmatch(rb"[a-z]{2,6}", token)]

    @cached_property
    def foreign(self) -> list[str]:
        """Steady words in other scripts, one token each."""
        tokens = (token for token in vocabulary.token_ranks() if len(token) > 3 and token[0] == 0x20)
        words = [token.decode().strip() for token in tokens if token[1] >= 0x80 and _is_text(token)]
        return [word for word in words if is_steady(word)]


def _is_text(token: bytes) -> bool:
    try:
        return bool(token.decode().strip())
    except UnicodeDecodeError:
        return False


@cache
def _rare_words() -> _RareWords:
    return _RareWords()


@cache
def _known_words() -> list[str]:
    return [word for word in words_by_heart() if len(word) > 1 and is_steady(word)]


class Draw:
    """A seeded source of words and numbers.

    Args:
        seed: same seed, same draws.
        is_held_out: draw only what was never trained.
    """

    def __init__(self, seed: int, *, is_held_out: bool = False) -> None:
        self.random = random.Random(seed)
        self.is_held_out = is_held_out
        rare = _rare_words()
        self._words = rare.held_out if is_held_out else rare.trained
        self._capitalised = [word for word in self._words if re.fullmatch("[A-Z][a-z]+", word)]
        self._held_names = [name for name in HELD_OUT_NAMES if is_steady(name)]
        self._held_cities = [city for city in HELD_OUT_CITIES if is_steady(city)]
        self._unsteady_names = [name for name in NAMES if not is_steady(name)]
        self._unsteady_cities = [city for city in CITIES if not is_steady(city)]

    def chance(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self.random.random() < probability

    def pick(self, *options: str) -> str:
        """Return one of `options`."""
        return self.random.choice(options)

    def rare_word(self, *, capitalised: bool = False) -> str:
        """Return a word of one or two rare tokens, or one of those known by heart: these can be asked for too."""
        if not (self.is_held_out or capitalised) and self.chance(0.12):
            return self.random.choice(_known_words())
        word = self.random.choice(self._capitalised if capitalised else self._words)
        if not self.chance(0.2):
            return word
        longer = word + self.random.choice(_rare_words().tails)
        return longer if is_steady(longer) else word

    def identifier(self) -> str:
        """Return a rare word in lower case, for the name of a parameter or a key."""
        while True:
            word = self.rare_word().lower()
            if is_steady(word):
                return word

    def phrase(self, num_words: int | None = None) -> str:
        """Return rare words, one to three if `num_words` is not given."""
        count = num_words or self.random.choice([1, 1, 1, 2, 2, 3])
        return " ".join(self.rare_word(capitalised=self.chance(0.3)) for _ in range(count))

    def foreign_phrase(self) -> str:
        """Return words of other scripts."""
        return " ".join(self.random.choice(_rare_words().foreign) for _ in range(self.random.randint(1, 5)))

    def name(self) -> str:
        """Return a person's name."""
        if self.is_held_out:
            return (
                self.rare_word(capitalised=True) if self.chance(0.4) else self.random.choice(self._held_names)
            )
        if self.chance(0.3):
            return self.rare_word(capitalised=True)
        return self.random.choice(self._unsteady_names if self.chance(0.4) else NAMES)

    def city(self) -> str:
        """Return a city's name."""
        kind = self.random.random()
        if kind < (0.4 if self.is_held_out else 0.3):
            words = self.random.choice([1, 1, 1, 2])
            return " ".join(self.rare_word(capitalised=True) for _ in range(words))
        if self.is_held_out:
            return self.random.choice(self._held_cities)
        return self.random.choice(self._unsteady_cities if kind < 0.7 else CITIES)

    def number(self) -> int:
        """Return a number from 0 to 99,999, small ones more often."""
        while True:
            kind = self.random.random()
            top = 20 if kind < 0.25 else 999 if kind < 0.8 else 99_999
            number = self.random.randint(0, top)
            if number <= 20 or is_held_out_number(number) == self.is_held_out:
                return number
