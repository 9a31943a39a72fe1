"""How much memory a device can still give, and who has to wait for it."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlx_lm.utils import load_model as load_mlx_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.worker import container, memory
from jupyter_mlx_gpt_oss.worker.memory import MemoryBudget, usable_bytes
from tests.support.loop_caller import Caller

GIB = 1 << 30


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"max_recommended_working_set_size": 20 * GIB, "memory_size": 32 * GIB}, 17 * GIB),  # Metal
        ({"max_recommended_working_set_size": 2 * GIB}, 0),
        ({"total_memory": 80 * GIB, "free_memory": 60 * GIB}, 60 * GIB),  # CUDA
        ({}, 5 * GIB),
    ],
)
def test_a_gpu_gives_what_it_tells_of(info: dict[str, int], expected: int) -> None:
    assert usable_bytes(info, active_bytes=3 * GIB, host_bytes=5 * GIB) == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (
            "0::/\n",
            {
                "memory.max": "2147483648\n",
                "memory.current": "1073741824\n",
                "memory.stat": "anon 5\nactive_file 400\ninactive_file 600\n",
            },
            GIB + 1000,
        ),
        (
            "0::/kubepods/pod/box\n",
            {
                "memory.max": "max\n",
                "kubepods/pod/memory.max": "3000\n",
                "kubepods/pod/memory.current": "1000\n",
                "kubepods/pod/memory.stat": "inactive_file 0\n",
                "kubepods/pod/box/memory.max": "max\n",
            },
            2000,
        ),
        (
            "5:cpu:/docker/b\n4:hugetlb,memory:/docker/b\n0::/docker/b\n",  # the container sees its group as the top
            {
                "memory/memory.limit_in_bytes": "5000\n",
                "memory/memory.usage_in_bytes": "9000\n",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
            },
            0,
        ),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {"memory.max": "what?\n"}, None),
        ("", {}, None),
    ],
)
def test_a_container_gives_what_its_limit_leaves(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert container.free_bytes(tmp_path) == expected
    assert container.free_bytes(tmp_path / "a Mac") is None


def test_a_limit_of_the_container_bounds_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: 12345)
    assert memory.free_bytes() == 12345


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[malloc_or_wait] Unable to allocate 123 bytes.", True),
        (
            "[METAL] Command buffer execution failed: Insufficient Memory (kIOGPUCommandBufferCallbackErrorOutOfMemory)",
            True,
        ),
        ("std::bad_alloc", True),
        ("cudaMallocAsync(&data, size, stream) failed: out of memory", True),
        ("an illegal memory access was encountered", False),
    ],
)
def test_what_says_that_there_is_no_memory_left_is_told_from_other_faults(text: str, expected: bool) -> None:
    assert memory.is_out_of_memory(RuntimeError(text)) is expected


def test_a_rank_counts_the_heads_that_it_has(tiny_checkpoint: Path) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    whole = MemoryBudget.measure(model, 0).bytes_per_token
    for layer in model.model.layers:  # as mlx-lm's shard() does it for two
        layer.self_attn.num_key_value_heads //= 2
    assert MemoryBudget.measure(model, 0).bytes_per_token == whole // 2


def test_what_cannot_be_kept_for_others_costs_nobody_an_answer(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    caller = Caller(model, EngineConfig(max_prefill_tokens=64))
    prompt = [index * 31 % 1000 for index in range(400)]
    caller.add("first", prompt, max_tokens=4)
    caller.loop.step()

    def fail(*_: object) -> bool:
        raise RuntimeError("[malloc] Unable to allocate 1 bytes.")

    monkeypatch.setattr(caller.loop._caches, "is_worth_waiting_for", fail)
    caller.add("second", [*prompt, 5], max_tokens=4)
    caller.run()
    assert not caller.failed
    assert {name: len(tokens) for name, tokens in caller.tokens.items()} == {"first": 4, "second": 4}


def test_a_request_waits_until_its_keys_and_values_fit_beside_those_that_run(tiny_checkpoint: Path) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    caller = Caller(model, EngineConfig(prefix_cache_bytes=0))
    budget = caller.loop._memory
    caller.loop._memory = replace(budget, running_bytes=150 * budget.bytes_per_token)
    for name, num_tokens in (("first", 80), ("second", 40), ("small", 20)):
        caller.add(name, list(range(10, 10 + num_tokens)), max_tokens=20)
    caller.loop.step()
    running = [sequence.request.request_id for sequence in caller.loop._scheduler.running]
    assert running == [
        "first",
        "small",
    ]  # 100 and 40 of the 150 tokens; the second's 60 do not fit, and let others pass
    caller.run()
    assert {name: len(tokens) for name, tokens in caller.tokens.items()} == dict.fromkeys(caller.tokens, 20)
    assert not caller.failed


def test_a_large_request_is_not_passed_by_small_ones_for_ever(tiny_checkpoint: Path) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    caller = Caller(model, EngineConfig(prefix_cache_bytes=0))
    budget = caller.loop._memory
    caller.loop._memory = replace(budget, running_bytes=150 * budget.bytes_per_token)
    caller.add("small 0", [1] * 20, max_tokens=10)
    caller.add("small 1", [2] * 20, max_tokens=15)
    caller.loop.step()
    caller.add("large", [3] * 120, max_tokens=20)
    for number in range(2, 40):
        caller.add(f"small {number}", [number] * 20, max_tokens=10)
    while not caller.tokens["large"]:
        caller.loop.step()
    assert 4 <= sum(name != "large" for name, tokens in caller.tokens.items() if tokens) <= 12
    caller.run()
    assert len(caller.tokens) == 41
    assert not caller.failed


def test_answers_have_memory_whatever_the_prefix_cache_is_given(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    monkeypatch.setattr(memory, "free_bytes", lambda: GIB)
    budget = MemoryBudget.measure(model, 2 * GIB)
    assert budget.running_bytes == GIB // 4
    assert budget.prefix_cache_bytes == GIB - GIB // 4
