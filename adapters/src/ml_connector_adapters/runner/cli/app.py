"""The commands, put together, and what happens to errors: words on stderr, a number for the shell, no traceback."""

import atexit
import gc
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from ml_connector.errors import AuthRejected, ConfigError, ConnectorError, LeaseHeld, RetryLater
from ml_connector_adapters.runner.cli import audit, compare, failures, look, review, secrets, setup, trial, work
from ml_connector_adapters.runner.cli.common import complain

HELP = """Keeps an ERP and a CRM in agreement, record by record.

```text
ml-connector demo                        see it work, with made-up vendors
ml-connector init ifs-cloud zoho-crm     write a configuration to start from
ml-connector check                       is it well formed?
ml-connector ping                        are the systems fit for it?
ml-connector sync customers orders       one run now
ml-connector explain order 10042 amount  who changed this, when, why
```
"""

app = App(
    name="ml-connector",
    help=HELP,
    version=lambda: version("ml-connector"),
    version_flags=["--version"],
    result_action="return_value",  # the exit code is ours to choose
)
app.register_install_completion_command()
for module in (trial, work, look, audit, review, compare, setup):
    module.register(app)
app.command(failures.app)
app.command(secrets.app)
app.command(setup.db_app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code (``docs/cli.md`` lists them)."""
    gc.disable()  # imports make only what stays; open_workspace turns it on again, and commands without one are short
    atexit.register(gc.freeze)  # what still stands then goes with the process: nobody need look through it for circles
    sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except ConfigError as error:
        for mistake in error.mistakes:
            complain(mistake)
        return 2
    except LeaseHeld as error:
        complain(str(error))
        return 4
    except (AuthRejected, RetryLater) as error:
        complain(str(error))
        return 3
    except ConnectorError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("interrupted; what was settled stays settled, the next run goes on from there")
        return 130
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0
