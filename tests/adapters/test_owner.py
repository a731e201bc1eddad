"""Who may be buried: a process of this host that is known to have ended, and nobody else."""

import os
import socket
import subprocess
import sys

from ml_connector_adapters.owner import is_dead, this_process

HERE = socket.gethostname()


def test_this_process_lives_and_keeps_its_name():
    assert not is_dead(this_process())
    assert this_process() == this_process()
    assert this_process().startswith(f"{HERE}:{os.getpid()}:")


def test_a_process_that_ended_is_dead_and_one_that_runs_is_not():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{HERE}:{process.pid}:abc123"
    assert not is_dead(name)
    process.communicate(b"\n")
    assert is_dead(name)


def test_our_number_under_another_word_was_a_process_before_us():
    assert is_dead(f"{HERE}:{os.getpid()}:before")


def test_nothing_is_known_of_another_host_or_of_a_name_that_is_none():
    assert not is_dead("another-host:1:abc123")
    assert not is_dead(f"{HERE}:not-a-number:abc123")
    assert not is_dead("")


def test_somebody_elses_process_is_alive_though_we_may_not_touch_it(monkeypatch):
    def refuse(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_dead(f"{HERE}:1:abc123")
