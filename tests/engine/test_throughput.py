"""The rate of tokens over the last seconds."""

from jupyter_mlx_gpt_oss.engine.throughput import Throughput


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_five_seconds() -> None:
    clock = _Clock()
    throughput = Throughput(clock)
    assert throughput.tokens_per_second() == 0
    for _ in range(10):
        throughput.add(3)
        clock.now += 0.1
    assert round(throughput.tokens_per_second()) == 30
    clock.now += 10
    assert throughput.tokens_per_second() == 0
