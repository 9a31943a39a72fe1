"""The vocabulary to tokenizer.json and tokenizer_config.json, as Hugging Face's tokenizers read them.

Encoding gives the ids that openai-harmony gives. The file is made here because the vocabulary is shipped once.
Source: the pattern of o200k_base in openai/tiktoken, tiktoken_ext/openai_public.py.
"""

from importlib import resources
from typing import Any

from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_ranks

_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERN = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_FIRST_SPECIAL = SPECIAL_TOKENS["<|startoftext|>"]
_LAST_SPECIAL = 200_018  # ids above have no text in OpenAI's own tokenizer.json either
_OTHER_SPECIAL = {"<|endofprompt|>": _LAST_SPECIAL}
_CONTEXT_TOKENS = 131_072


def _byte_letters() -> list[str]:
    """Return the letter that stands for each byte in tokenizer.json: itself if printable, else one past U+0100."""
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    letters, shifted = [], 0
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + shifted))
            shifted += 1
    return letters


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return every pair of tokens whose concatenation is a token, in the order of the token that they make."""
    pairs = []
    for token in sorted(ranks, key=ranks.__getitem__):
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(left, right) for left, right in halves if left in ranks and right in ranks]
        pairs += sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return pairs


def _special_tokens() -> dict[int, str]:
    named = {token_id: token for token, token_id in {**SPECIAL_TOKENS, **_OTHER_SPECIAL}.items()}
    ids = range(_FIRST_SPECIAL, _LAST_SPECIAL + 1)
    return {token_id: named.get(token_id, f"<|reserved_{token_id}|>") for token_id in ids}


def tokenizer() -> dict[str, Any]:
    """Return tokenizer.json."""
    ranks, letters = token_ranks(), _byte_letters()
    text_of = {token: "".join([letters[byte] for byte in token]) for token in ranks}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": text, **flags} for i, text in _special_tokens().items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,  # as tiktoken: a piece that is a token is not taken apart
            "vocab": {text_of[token]: rank for token, rank in ranks.items()},
            "merges": [(text_of[left], text_of[right]) for left, right in _merges(ranks)],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """Return tokenizer_config.json, with the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|return|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": _CONTEXT_TOKENS,
        "chat_template": resources.files(__package__).joinpath("chat_template.jinja").read_text("utf-8"),
    }
