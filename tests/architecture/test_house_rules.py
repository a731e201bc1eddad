"""Rules of the house that a reader would otherwise have to trust."""

import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ml_connector.ports.fitness import Fitness
from ml_connector.ports.notices import Notices
from ml_connector.ports.secrets import Secrets
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Feed, Source, Sweep
from ml_connector.ports.state import Intents, Leases, State

ROOT = Path(__file__).parents[2]
MACHINE = re.compile(rb"(?<![\w.$}\\-])/(?:root|work|home/\w+|Users/\w+|tmp/dev)/")
"""Paths that exist on somebody's machine only."""


@pytest.mark.parametrize("port", [Source, Feed, Sweep, Sink, Notices, Fitness, Secrets, Leases, Intents, State])
def test_a_port_that_can_fail_says_what_it_raises(port: Any) -> None:
    """In a method's docstring, or once for all of them in the class's or that of the class it extends."""
    methods = [method for _, method in inspect.getmembers(port, inspect.isfunction) if not method.__name__.startswith("_")]
    told = [each.__doc__ for each in (*port.__mro__, *methods) if each is not object]
    assert any("aise" in doc for doc in told if doc), port


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no checkout")
    names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = [name for name in names if name != here and (file := ROOT / name).is_file() and MACHINE.search(file.read_bytes())]
    assert found == []
