"""Find, in a family of conversations, where the noun of a declared tool has just been said, and what that tool's verb is."""

from dataclasses import dataclass

import numpy as np

from jupyter_mlx_gpt_oss.demo.codes import LEADING_BYTES, base_token_ids, leading_classes
from training.data import Family, Flags, Ids
from training.words import encode

# What stands after the noun of a tool: in a plan, and in questions.
AFTER_NOUN = frozenset(encode(text)[0] for text in (":", " of", " for", " in", "?", "."))


@dataclass(frozen=True, slots=True)
class Lookups:
    """Places in a family of N tokens.

    Attributes:
        is_after_noun: where a token of `AFTER_NOUN` follows the noun of a declared tool, (N,).
        verbs: the verb of that tool, 0 elsewhere, (N,).
    """

    is_after_noun: Flags
    verbs: Ids


def is_name_end(token_ids: Ids) -> Flags:
    """Tell which tokens have a leading `_`, as the nouns of `get_price` and `find_price` have."""
    has_underscore: Flags = leading_classes()[token_ids] == LEADING_BYTES.index(b"_")
    return has_underscore


def find_lookups(family: Family) -> Lookups:
    """Return the places of `family`; a noun is what follows the first `_` of a name, of one token."""
    bases, ids = base_token_ids(), family.token_ids
    ends = np.nonzero((family.branches == 0) & is_name_end(ids))[0]
    verb_of = {int(bases[ids[end]]): int(ids[end - 1]) for end in ends}
    is_after_noun, verbs = np.zeros(len(ids), bool), np.zeros(len(ids), np.int64)
    for index in np.nonzero(family.branches > 0)[0]:
        verb = verb_of.get(int(bases[ids[index - 1]]))
        if verb is not None and int(ids[index]) in AFTER_NOUN:
            is_after_noun[index], verbs[index] = True, verb
    return Lookups(is_after_noun, verbs)
