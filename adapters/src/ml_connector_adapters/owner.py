"""Who holds a lease, and whether that process can still be alive."""

import os
import socket
from functools import cache
from uuid import uuid4


@cache
def this_process() -> str:
    """This process, as leases name it to people: host, process id, and a word that no later process of that id shares."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"


def is_dead(owner: str) -> bool:
    """True only for a process of this very host that is known to have ended; anything else may be alive."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdecimal() or owner == this_process():
        return False
    if int(pid) == os.getpid():
        return True  # our own number, another word: we are its successor
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
