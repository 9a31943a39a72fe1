"""Grammars that are slow to compile hold up nobody: no running answer, no other caller, no command."""

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from mlx_lm.utils import load_model as load_mlx_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Abort
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.worker.constraint import Constraint, ConstraintFactory
from jupyter_mlx_gpt_oss.worker.grammar_compiler import GrammarCompiler
from tests.support.loop_caller import GREEDY, VOCABULARY, Caller

FREE = GenerationRequest(
    request_id="free", prompt_token_ids=(5, 6), max_tokens=8, stop_token_ids=(), sampling=GREEDY
)
DIGITS = '{"grammars": [{"lark_grammar": "start: /[0-9]{4,30}/"}]}'
FACTORY = ConstraintFactory(VOCABULARY)
COMPILE = ConstraintFactory.compile
_PATIENCE = 60.0


def asked(name: str, caller: str = "", grammar: str = DIGITS) -> GenerationRequest:
    return replace(FREE, request_id=name, caller=caller, grammar=grammar)


class Gate:
    """Compiles when it is let, and remembers what."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.compiled: list[str] = []

    def __call__(self, grammar: str) -> Constraint:
        self.entered.set()
        assert self.open.wait(_PATIENCE)
        self.compiled.append(grammar)
        return FACTORY.compile(DIGITS)


def caller_with(model_directory: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Caller:
    monkeypatch.setattr(ConstraintFactory, "compile", lambda _, grammar: gate(grammar))
    monkeypatch.setattr(FACTORY, "compile", partial(COMPILE, FACTORY))
    model, _ = load_mlx_model(model_directory)
    return Caller(model, EngineConfig(model=str(model_directory)))


def test_answers_go_on_while_a_grammar_is_compiled(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    caller = caller_with(tiny_checkpoint, gate, monkeypatch)
    caller.send(asked("slow"))
    caller.send(FREE)
    assert gate.entered.wait(_PATIENCE)
    while len(caller.tokens.get("free", ())) < FREE.max_tokens:
        caller.loop.step()
    assert "slow" not in caller.tokens  # not a word, which would be sent before a refusal could be
    assert not caller.loop.is_idle
    gate.open.set()
    caller.run()
    assert len(caller.tokens["slow"]) == FREE.max_tokens


def test_a_request_that_is_given_up_while_its_grammar_is_compiled_leaves_nothing(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    caller = caller_with(tiny_checkpoint, gate, monkeypatch)
    caller.send(asked("slow"))
    caller.send(asked("next"))
    assert gate.entered.wait(_PATIENCE)
    caller.loop.step()
    caller.loop.take(Abort("slow"))
    gate.open.set()
    caller.run()
    assert "slow" not in caller.tokens
    assert len(caller.tokens["next"]) == FREE.max_tokens


def test_a_grammar_that_cannot_be_compiled_costs_its_own_request(tiny_checkpoint: Path) -> None:
    model, _ = load_mlx_model(tiny_checkpoint)
    caller = Caller(model, EngineConfig(model=str(tiny_checkpoint)))
    caller.send(asked("bad", grammar='{"grammars": [{"lark_grammar": "start: ((("}]}'))
    caller.send(asked("good"))
    caller.run()
    assert caller.failed == {"bad": InvalidRequestError.code}
    assert len(caller.tokens["good"]) == FREE.max_tokens


def test_callers_take_turns_and_what_nobody_wants_is_not_compiled() -> None:
    gate = Gate()
    compiler = GrammarCompiler(gate)
    compiler.begin(asked("ann0", "ann", "ann0"))
    assert gate.entered.wait(_PATIENCE)
    for name in ("ann1", "ann2", "ann3", "bob0"):
        compiler.begin(asked(name, name[:3], name))
    compiler.forget("ann2")
    gate.open.set()
    for name in ("ann0", "bob0", "ann1", "ann3"):
        compiler.take(name)
    assert gate.compiled == ["ann0", "ann1", "bob0", "ann3"]
    assert compiler.finished() == []


def test_a_panic_of_the_compiler_is_the_end_of_one_grammar() -> None:
    class PanicException(BaseException):
        """As pyo3 raises it."""

    def compile_grammar(grammar: str) -> Constraint:
        if grammar == "panics":
            raise PanicException
        return FACTORY.compile(grammar)

    compiler = GrammarCompiler(compile_grammar)
    compiler.begin(asked("one", grammar="panics"))
    compiler.begin(asked("two"))
    with pytest.raises(RuntimeError, match="panicked"):
        compiler.take("one")
    assert not compiler.take("two").is_finished
