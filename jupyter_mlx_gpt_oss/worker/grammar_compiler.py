"""Requests with a grammar to their constraints, in a thread of its own: no step waits for a grammar that is slow.

The thread touches llguidance alone, which lets other threads run while it compiles. Callers take turns, so that one with
many slow grammars holds up nobody else's.
"""

import threading
from collections import deque
from collections.abc import Callable

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.constraint import Constraint

_STACK_BYTES = 8 << 20  # what llguidance needs for the deepest grammar that its limits allow
Compile = Callable[[str], Constraint]


class GrammarCompiler:
    """What is being compiled, and what has been. Owns its thread, which begins with the first grammar.

    Args:
        compile_grammar: turns a grammar into a constraint; called in the thread.
    """

    def __init__(self, compile_grammar: Compile) -> None:
        self._compile = compile_grammar
        self._changed = threading.Condition()
        self._asked: dict[str, deque[GenerationRequest]] = {}
        """By caller; whose turn is next stands first."""
        self._done: dict[str, Constraint | Exception] = {}
        """By request; what nobody wants any more is not kept."""
        self._wanted: set[str] = set()
        self._thread: threading.Thread | None = None

    def begin(self, request: GenerationRequest) -> None:
        """Compile a request's grammar, which it has, when its turn comes."""
        with self._changed:
            self._asked.setdefault(request.caller, deque()).append(request)
            self._wanted.add(request.request_id)
            self._changed.notify_all()
        if self._thread is None:
            self._start()

    def forget(self, request_id: str) -> None:
        """Do not compile a request's grammar, or throw its constraint away. Unknown ids are ignored."""
        with self._changed:
            self._wanted.discard(request_id)
            self._done.pop(request_id, None)

    def finished(self, wait_seconds: float = 0.0) -> list[str]:
        """Return the ids of the requests whose grammars are done, and first wait so long for one."""
        with self._changed:
            if wait_seconds:
                self._changed.wait_for(lambda: self._done, wait_seconds)
            return list(self._done)

    def take(self, request_id: str) -> Constraint:
        """Return a constraint, once it is done.

        Raises:
            InvalidRequestError: the grammar cannot be compiled.
        """
        with self._changed:
            self._changed.wait_for(lambda: request_id in self._done)
            self._wanted.discard(request_id)
            made = self._done.pop(request_id)
        if isinstance(made, Exception):
            raise made
        return made

    def _start(self) -> None:
        previous = threading.stack_size(_STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._run, name="gpt-oss grammars", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(previous)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked)
                request = self._next()
                if request.request_id not in self._wanted:
                    continue
            made = self._made(request)
            with self._changed:
                if request.request_id in self._wanted:
                    self._done[request.request_id] = made
                    self._changed.notify_all()

    def _next(self) -> GenerationRequest:
        caller, requests = next(iter(self._asked.items()))
        request = requests.popleft()
        del self._asked[caller]
        if requests:
            self._asked[caller] = requests  # behind the others
        return request

    def _made(self, request: GenerationRequest) -> Constraint | Exception:
        """Compile a request's grammar, and go to where a resumed answer stands in it."""
        assert request.grammar is not None
        try:
            constraint = self._compile(request.grammar)
            for token_id in request.output_token_ids:
                constraint.accept(token_id)
        except BaseException as error:  # noqa: BLE001  llguidance's panics are no Exceptions; `take` raises it in the loop
            if isinstance(error, Exception):
                return error
            return RuntimeError(f"the compiler of grammars panicked: {type(error).__name__}")
        return constraint
