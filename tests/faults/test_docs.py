"""docs/reliability.md tells what is tested, and what is tested stands there."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ENGINE = "tests/engine/test_engine_process.py"
CHECKPOINT = "tests/worker/test_checkpoint.py"
LOADING = "tests/worker/test_load_errors.py"
OWN_ENGINE = "tests/faults/test_engine.py"
CLIENTS = "tests/faults/test_clients.py"
APP = "tests/test_app.py"
TESTS = {
    "it is killed": (ENGINE, "test_a_killed_worker_is_replaced_and_no_token_is_lost_or_doubled"),
    "it dies again and again before it computes anything": (
        OWN_ENGINE,
        "test_a_process_that_dies_again_and_again_is_started_after_longer_and_longer",
    ),
    "it stops without ending": (ENGINE, "test_a_worker_that_falls_silent_is_replaced"),
    "it runs out of memory": (OWN_ENGINE, "test_memory_that_runs_out_ends_in_an_error_or_in_a_new_process"),
    "it ends while it loads the model": (OWN_ENGINE, "test_a_process_that_ends_while_it_loads_is_told"),
    "the model is unloaded while the process is being started": (
        ENGINE,
        "test_unloading_does_not_wait_for_a_process_that_is_being_started",
    ),
    "one sequence's step fails, wherever": (
        "tests/worker/test_prefix_cache.py",
        "test_a_fault_that_comes_back_only_where_it_was_costs_only_the_sequence_at_fault",
    ),
    "a request finds no memory beside those that run": (
        "tests/worker/test_memory.py",
        "test_a_large_request_is_not_passed_by_small_ones_for_ever",
    ),
    "the model is larger than the memory": (CHECKPOINT, "test_a_model_larger_than_the_memory_is_refused"),
    "the checkpoint is broken, cut off or incomplete": (CHECKPOINT, "test_a_cut_off_weight_file_is_refused"),
    "the connection breaks during a download": (LOADING, "test_a_fault_in_loading_is_reported"),
    "the disk is full during a download": ("tests/faults/test_checkpoint.py", "test_a_disk_that_is_full"),
    "it sends garbage, or half a frame": (OWN_ENGINE, "test_a_broken_frame_costs_the_process_and_no_token"),
    "it is sent garbage, or half a frame": (OWN_ENGINE, "test_a_broken_frame_costs_the_process_and_no_token"),
    "the notebook server is gone": (ENGINE, "test_the_worker_ends_when_the_notebook_server_is_gone"),
    "Ctrl-C in the server's terminal": (
        ENGINE,
        "test_ctrl_c_in_the_servers_terminal_does_not_reach_the_worker",
    ),
    "a client goes before its model is loaded": (CLIENTS, "test_before_its_model_is_loaded"),
    "a client goes while it waits its turn": (CLIENTS, "test_while_it_waits_its_turn"),
    "a client goes while it is answered": (CLIENTS, "test_while_it_is_answered"),
    "a client goes after its answer": (CLIENTS, "test_after_its_answer"),
    "a client does not read": (CLIENTS, "test_gets_all_of_its_answer_in_the_end_and_holds_up_nobody"),
    "a client does not read what is finished": (
        OWN_ENGINE,
        "test_a_client_that_does_not_read_its_whole_answer_costs_no_process",
    ),
    "a client goes within its body": (
        "tests/handlers/test_body_limits.py",
        "test_a_client_that_goes_within_its_body_leaves_nothing",
    ),
    "a kernel is restarted within a cell": (CLIENTS, "test_a_kernel_that_is_restarted_within_a_cell"),
    "ten thousand requests wait and are cancelled": (
        OWN_ENGINE,
        "test_ten_thousand_requests_wait_and_are_cancelled",
    ),
    "more requests than may wait": (ENGINE, "test_one_request_too_many_is_refused_and_the_others_go_on"),
    "it stops while answers are written": (
        "tests/handlers/test_chat_completions.py",
        "test_a_stopping_server_ends_open_streams_with_an_error",
    ),
    "its engine does not stop": (APP, "test_a_stop_ends_even_if_the_engine_does_not"),
    "the clock jumps": (
        "tests/faults/test_clock.py",
        "test_a_clock_that_jumps_changes_nothing_that_is_measured",
    ),
    "the home cannot be written": (APP, "test_a_home_that_cannot_be_written_gets_a_key_for_this_run"),
    "load, kills and clients that go, all at once": (
        "tests/faults/test_soak.py",
        "test_under_load_and_kills_every_request_is_accounted_for",
    ),
}


def test_every_fault_of_the_page_has_its_test_and_every_test_its_line() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").partition("\n## Measured")[0]
    told = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert [fault for fault in told if fault != "what happens"] == list(TESTS)
    for file, test in TESTS.values():
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8")
