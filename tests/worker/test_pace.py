"""How much of a prompt a step may read."""

from jupyter_mlx_gpt_oss.worker.pace import Pace


def _pace() -> Pace:
    return Pace(max_tokens=2048, max_gap_seconds=0.25, max_step_seconds=1.0)


def test_the_first_chunk_is_small_because_nothing_is_known() -> None:
    assert _pace().prefill_tokens(num_decoding=0) == 64


def test_alone_a_chunk_takes_as_long_as_a_step_may() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    assert pace.prefill_tokens(num_decoding=0) == 1000


def test_beside_running_answers_a_chunk_and_their_tokens_take_no_longer_than_the_gap() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=3, seconds=0.05)
    assert 155 <= pace.prefill_tokens(num_decoding=3) <= 163  # 0.85 of the 250 ms, less the 50


def test_where_answers_alone_take_longer_than_the_gap_prompts_get_half_of_a_step() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=1.0)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=4, seconds=0.7)
    assert 69 <= pace.prefill_tokens(num_decoding=4) <= 70


def test_what_nobody_has_asked_for_is_read_in_steps_that_hold_up_nobody() -> None:
    pace = _pace()
    assert pace.ahead_tokens() == 64
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.1)
    assert 25 <= pace.ahead_tokens() <= 30


def test_a_slower_step_counts_at_once_and_a_faster_one_slowly() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.1)
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=1.0)
    assert pace.prefill_tokens(num_decoding=0) == 100
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.1)
    assert 100 < pace.prefill_tokens(num_decoding=0) < 200


def test_however_slow_a_machine_is_a_prompt_moves_and_however_fast_a_chunk_is_bounded() -> None:
    slow, fast = _pace(), _pace()
    slow.note(num_prefill_tokens=1, num_decoding=1, seconds=30.0)
    fast.note(num_prefill_tokens=2048, num_decoding=0, seconds=1e-6)
    assert slow.prefill_tokens(num_decoding=1) == 8
    assert fast.prefill_tokens(num_decoding=0) == 2048


def test_where_answers_take_nearly_the_gap_a_prompt_gets_no_more_than_the_least() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    pace.note(num_prefill_tokens=0, num_decoding=1, seconds=0.23)
    assert pace.prefill_tokens(num_decoding=1) == 8
