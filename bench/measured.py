"""Run a command and write what it cost as JSON: wall and CPU seconds, peak memory in MB, exit code.

python bench/measured.py OUT.json COMMAND [ARGUMENT …]
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main(out: str, command: list[str]) -> int:
    began = time.monotonic()
    code = subprocess.call(command)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {
        "seconds": time.monotonic() - began,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "code": code,
    }
    Path(out).write_text(json.dumps(cost))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
