"""Every token id to a codeword of 64 signs and a class for its leading character.

The embedded model trains a few thousand rows of its token tables; all other rows are computed from these codes
by two small learned matrices. Knows the vocabulary, and nothing of weights or files.
Source: extended BCH code [64, 18, 22], generator built from the primitive polynomial x^6 + x + 1.
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, token_ranks

CODE_BITS = 64
LEADING_BYTES = (b"", b" ", b".", b"_", b'"', b"(", b"/", b"-", b"'", b"=")
NUM_CLASSES = len(LEADING_BYTES)

_MESSAGE_BITS = 18  # 2^18 codewords, more than there are tokens
_FIELD_ORDER = 63
_PRIMITIVE_POLYNOMIAL = 0b1000011
_DESIGNED_ROOTS = range(1, 20, 2)  # gives the generator its degree of 45
_STARTS_A_WORD = re.compile(rb"[A-Za-z\x80-\xff]")


class _Field:
    """Arithmetic in GF(64) through tables of powers of the primitive element."""

    def __init__(self) -> None:
        self.powers: list[int] = []
        element = 1
        for _ in range(_FIELD_ORDER):
            self.powers.append(element)
            element <<= 1
            if element & 64:
                element ^= _PRIMITIVE_POLYNOMIAL
        self.logarithms = {element: exponent for exponent, element in enumerate(self.powers)}

    def multiply(self, left: int, right: int) -> int:
        if left == 0 or right == 0:
            return 0
        return self.powers[(self.logarithms[left] + self.logarithms[right]) % _FIELD_ORDER]

    def multiply_polynomials(self, left: list[int], right: list[int]) -> list[int]:
        product = [0] * (len(left) + len(right) - 1)
        for i, a in enumerate(left):
            for j, b in enumerate(right):
                product[i + j] ^= self.multiply(a, b)
        return product


def _generator_polynomial() -> list[int]:
    """Return the BCH code's generator, lowest power first: the product of the minimal polynomials of its roots."""
    field = _Field()
    generator = [1]
    seen: set[int] = set()
    for root in _DESIGNED_ROOTS:
        conjugates = {root * 2**power % _FIELD_ORDER for power in range(6)}
        if conjugates & seen:
            continue
        seen |= conjugates
        for exponent in conjugates:
            generator = field.multiply_polynomials(generator, [field.powers[exponent], 1])
    return generator


@cache
def codewords() -> npt.NDArray[np.int8]:
    """Return the codeword of every token id, as signs; shape (NUM_TOKENS, CODE_BITS)."""
    generator = np.array(_generator_polynomial(), np.uint8)
    matrix = np.zeros((_MESSAGE_BITS, CODE_BITS), np.float32)
    for row in range(_MESSAGE_BITS):
        matrix[row, row : row + len(generator)] = generator
    matrix[:, -1] = matrix[:, :-1].sum(axis=1) % 2  # the parity bit that extends the code
    ids = np.arange(NUM_TOKENS, dtype=np.int64)
    message = (ids[:, None] >> np.arange(_MESSAGE_BITS) & 1).astype(np.float32)
    bits = (message @ matrix).astype(np.int64) & 1
    return (1 - 2 * bits).astype(np.int8)


@cache
def _base_ids_and_classes() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    ranks = token_ranks()
    base_ids = np.arange(NUM_TOKENS, dtype=np.int64)
    classes = np.zeros(NUM_TOKENS, np.int64)
    class_of = {leading[0]: index for index, leading in enumerate(LEADING_BYTES) if leading}
    for token, token_id in ranks.items():
        leading_class = class_of.get(token[0], 0)
        if leading_class and token[1:] in ranks and _STARTS_A_WORD.match(token, 1):
            base_ids[token_id] = ranks[token[1:]]
            classes[token_id] = leading_class
    return base_ids, classes


def base_token_ids() -> npt.NDArray[np.int64]:
    """Return, for every id, the id of the same text without its leading character; shape (NUM_TOKENS,).

    ` Paris` and `.Paris` have the base id of `Paris`, and with it its codeword. Most tokens are their own base.
    """
    return _base_ids_and_classes()[0]


def leading_classes() -> npt.NDArray[np.int64]:
    """Return, for every id, the index in LEADING_BYTES of the character its base id lacks; shape (NUM_TOKENS,)."""
    return _base_ids_and_classes()[1]


def unit_codes(token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the codewords of `token_ids` as vectors of length 1; shape (len(token_ids), CODE_BITS)."""
    codes: npt.NDArray[np.float32] = codewords()[base_token_ids()[token_ids]].astype(np.float32)
    return codes / np.float32(CODE_BITS**0.5)
