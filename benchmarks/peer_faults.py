"""The same faults on this server and on its peers, over HTTP and by signals: what do their users see?

    python -m benchmarks.peer_faults [--only ours,mlx_lm] [--cases leave,kill]

The servers are those of `benchmarks.peers`, each started anew for each fault. Their model is the demo as any server serves it, changed
so that its answers do not end by themselves: the tokens that would end one are never the likeliest. Prints a Markdown table, and keeps
it with its numbers in benchmarks/out/peer_faults.json; docs/reliability.md shows it.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import peer_fault_cases as cases
from benchmarks import peer_fault_requests as requests
from benchmarks import peer_fault_states as states
from benchmarks.peer_fault_probe import Cell, endless_demo
from benchmarks.peer_fault_values import WRONG_VALUES
from benchmarks.peers import PEERS, Peer
from benchmarks.results import OUT, keep

_NAMES = {"ours": "this server", "mlx_lm": "mlx_lm.server 0.32.2", "mlx_gpt_oss": "mlx-gpt-oss 1.0.3"}

Case = Callable[[Peer, Path], Cell]
CASES: Mapping[str, tuple[str, Case]] = {
    "leave": ("a client goes in the middle of a stream", cases.client_leaves),
    "leave-whole": ("a client goes that waits for a whole answer", cases.client_of_a_whole_answer_leaves),
    "step": ("a step of the model raises, two streams open", cases.step_raises),
    "kill": ("the process that computes is killed, a stream open", cases.process_killed),
    "stop": ("the server is told to stop (SIGTERM), a stream open", cases.server_told_to_stop),
    "halt": ("the process that computes is stopped (SIGSTOP), a stream open", states.process_stopped),
    "cut-off": ("the checkpoint is cut off", states.checkpoint_cut_off),
    "slow": ("a client does not read its stream for 20 s", states.slow_reader),
    "queued": ("300 clients ask at once, and go after two seconds", states.queued_and_cancelled),
    "values": (f"{len(WRONG_VALUES)} requests, each with a wrong value", requests.wrong_values),
    "json": ("a body that is no JSON", requests.broken_json),
    "huge": ("a body of 64 MiB", requests.huge_body),
    "many": (f"{requests.NUM_PARALLEL} streams at once", requests.many_at_once),
}


def _table(found: dict[str, dict[str, Cell]], names: list[str]) -> str:
    rows = [["what happens", *(_NAMES[name] for name in names)], ["---"] * (len(names) + 1)]
    for case, cells in found.items():
        rows.append([CASES[case][0], *(cells.get(name, {"text": "-"})["text"] for name in names)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="The same faults on this server and its peers.")
    parser.add_argument("--only", default=",".join(_NAMES))
    parser.add_argument("--cases", default=",".join(CASES))
    arguments = parser.parse_args()
    peers = {peer.name: peer for peer in PEERS if peer.name in arguments.only.split(",")}
    model = endless_demo(OUT / "demo-endless")
    for peer in peers.values():
        peer.install()
    file = OUT / "peer_faults.json"
    found: dict[str, dict[str, Cell]] = json.loads(file.read_text()) if file.is_file() else {}
    for case in arguments.cases.split(","):
        for name, peer in peers.items():
            print(f"{case}: {name}", flush=True)
            cell = CASES[case][1](peer, model)
            print(f"    {cell['text']}", flush=True)
            found[case] = {**found.get(case, {}), name: cell}
            keep("peer_faults", found)
    in_order = {case: found[case] for case in CASES if case in found}
    print(_table(in_order, [name for name in _NAMES if any(name in cells for cells in found.values())]))


if __name__ == "__main__":
    main()
