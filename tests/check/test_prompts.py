"""Prompts are as long as they say, and the same everywhere."""

from jupyter_mlx_gpt_oss.check.prompts import WINDOW_EDGES, exact_prompts


def test_prompts_lie_around_the_sliding_window() -> None:
    prompts = exact_prompts(1024)
    assert tuple(map(len, prompts.edges)) == WINDOW_EDGES
    for branch, edge in zip(prompts.branches, WINDOW_EDGES, strict=True):
        assert branch[:edge] == prompts.base[:edge]
        assert branch[edge:] != prompts.base[edge : len(branch)]
    assert prompts.continuation[: len(prompts.base)] == prompts.base


def test_prompts_are_the_same_every_time_and_all_different() -> None:
    assert exact_prompts(1024) == exact_prompts(1024)
    assert len(set(exact_prompts(1024).all)) == 10


def test_prompts_hold_ordinary_tokens_of_the_vocabulary_alone() -> None:
    assert max(map(max, exact_prompts(1024).all)) < 1024
    assert max(map(max, exact_prompts(201_088).all)) < 199_998
