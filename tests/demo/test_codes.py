import numpy as np

from jupyter_mlx_gpt_oss.demo.codes import (
    LEADING_BYTES,
    base_token_ids,
    codewords,
    leading_classes,
    unit_codes,
)
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, token_bytes, token_ranks


def test_every_token_has_a_base_and_a_class() -> None:
    assert base_token_ids().shape == leading_classes().shape == (NUM_TOKENS,)


def test_a_word_shares_its_base_with_its_twins() -> None:
    ranks = token_ranks()
    twins = [ranks[text] for text in (b"get", b" get", b".get")]

    assert {ranks[b"get"]} == set(base_token_ids()[twins].tolist())
    assert [LEADING_BYTES[index] for index in leading_classes()[twins]] == [b"", b" ", b"."]


def test_the_leading_character_and_the_base_make_the_token() -> None:
    texts = token_bytes()
    changed = np.nonzero(leading_classes())[0][::97]

    rebuilt = [LEADING_BYTES[leading_classes()[i]] + texts[base_token_ids()[i]] for i in changed]

    assert [texts[i] for i in changed] == rebuilt


def test_a_word_without_a_bare_form_is_its_own_base() -> None:
    kyoto = token_ranks()[b" Kyoto"]

    assert b"Kyoto" not in token_ranks()
    assert base_token_ids()[kyoto] == kyoto


def test_codewords_are_far_apart() -> None:
    some = codewords()[::71].astype(np.int32)
    overlaps = some @ some.T
    np.fill_diagonal(overlaps, 0)

    assert overlaps.max() <= 64 - 2 * 22  # the code's minimum distance is 22


def test_unit_codes_have_length_one() -> None:
    lengths = np.linalg.norm(unit_codes(np.array([0, 1, 200_000])), axis=1)

    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
