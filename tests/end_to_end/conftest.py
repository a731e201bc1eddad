"""Acme as a user meets it: a folder with a configuration, the real program, and the vendors' twins behind real sockets."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry import metrics, trace
from opentelemetry.util._once import Once

from ml_connector.twin import Twin, TwinRequest, TwinResponse
from ml_connector_adapters.http.twins import serving
from ml_connector_adapters.runner.cli.app import main
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_zoho_crm.twin import ZohoTwin

FLOWS = """
[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"
every = "1h"

[flows.orders]
from = "ifs"
to = "zoho"
entity = "order"
as = "deal"
after = ["customers"]
every = "15m"

[flows.orders.set]
stage = "lookup('order_stage', status)"

[tables.order_stage]
Planned = "Proposal/Price Quote"
Released = "Negotiation/Review"
Invoiced = "Closed Won"
"""
CLI = [sys.executable, "-m", "ml_connector_adapters.runner.cli"]


class Told(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Acme:
    """``ifs`` and ``zoho`` are the vendors; ``run`` is one command in this process, ``start`` one in a process of its own."""

    def __init__(self, home: Path, ifs: IfsTwin, zoho: ZohoTwin, urls: list[str], capture: Any) -> None:
        self.home, self.ifs, self.zoho = home, ifs, zoho
        self.config, self.state = home / "ml-connector.toml", home / "acme.db"
        self.urls, self._capture = urls, capture
        self.public_url = ""
        self.configure()
        self.processes: list[subprocess.Popen[str]] = []

    # the configuration

    def configure(self, flows: str = FLOWS, *, zoho: Mapping[str, object] = {}, extra: str = "") -> None:
        """Write the file: both connections as the twins want them, then the flows."""
        lines = ["[workspace]", 'name = "acme"', 'state = "sqlite:///acme.db"']
        lines += [f'public_url = "{self.public_url}"'] if self.public_url else []
        for name, system, settings in (
            ("ifs", "ifs-cloud", self.ifs.settings(self.urls[0])),
            ("zoho", "zoho-crm", {**self.zoho.settings(self.urls[1]), **zoho}),
        ):
            lines += [f"[connections.{name}]", f'system = "{system}"']
            lines += [f"{key} = {toml(value)}" for key, value in settings.items()]
        self.config.write_text("\n".join(lines) + "\n" + extra + flows, encoding="utf-8")

    def rewrite(self, old: str, new: str) -> None:
        """Edit the configuration as a person would; the old text must be there."""
        text = self.config.read_text(encoding="utf-8")
        assert old in text, old
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    # the program

    def run(self, *arguments: str, stdin: str = "") -> Told:
        """One command, with what it printed and its exit code. A traceback fails the test at once."""
        self._capture.readouterr()
        before, sys.stdin = sys.stdin, _Piped(stdin)
        _forget_providers()
        try:
            with pytest.raises(SystemExit) as left:
                main(arguments)
        finally:
            sys.stdin = before
        out, err = self._capture.readouterr()
        assert "Traceback" not in out + err
        return Told(int(left.value.code or 0), out, err)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """One command as a process of its own; what is left of it at the end of the test is killed."""
        process = subprocess.Popen(
            [*CLI, *arguments],
            cwd=self.home,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def sync(self, *flows: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """One run of the flows; their counts by flow. The exit code must be this one."""
        told = self.run("sync", *flows, "--json")
        assert told.code == code, told
        return {each["flow"]: each["run"]["counts"] for each in told.json if each["run"]}

    def keep_secrets(self, **instead: str) -> None:
        """What a user does once; ``instead`` gives one secret another value, by the last part of its name."""
        for name, value in {**self.ifs.secrets(), **self.zoho.secrets()}.items():
            assert self.run("secrets", "set", name, stdin=instead.get(name.partition("/")[2], value)).code == 0

    # the ERP and the CRM, as people there use them

    def customer(self, number: str = "C-100", name: str = "Acme", **values: object) -> None:
        self.ifs.put("CustomerInfoSet", {"CustomerId": number, "Name": name, "CustomerCategory": "Customer", **values})
        self.ifs.put("CustOrdCustomer", {"CustomerNo": number, "CurrencyCode": "EUR"})

    def order(self, number: str = "10042", customer: str = "C-100", **values: object) -> None:
        header = {"Contract": "S01", "Company": "10", "CurrencyCode": "EUR", "Objstate": "Released"}
        header["WantedDeliveryDate"] = "2026-03-31T00:00:00Z"
        self.ifs.put("CustomerOrderSet", {"OrderNo": number, "CustomerNo": customer, **header, **values})
        line = {"OrderNo": number, "LineNo": "1", "RelNo": "1", "LineItemNo": 0, "NetAmountCurr": Decimal("75.00")}
        self.ifs.put("CustomerOrderLineSet", {**line, "Objstate": "Released"})

    def sam_edits(self, module: str, number: str, **fields: object) -> None:
        """A person at Zoho edits a record, some seconds after whatever happened before: Zoho's times know whole seconds."""
        self.zoho.clock.advance(2)
        self.zoho.edit_as_person(module, self.held(module)[number]["id"], **fields)

    def held(self, module: str = "Accounts") -> dict[str, dict[str, Any]]:
        """What Zoho holds, by the ERP's number; ``id`` among the fields."""
        key = {"Accounts": "ERP_Customer_No", "Deals": "ERP_Order_No"}[module]
        return {str(row[key]): {**row, "id": one} for one, row in self.zoho.records(module).items() if row.get(key)}


class _Piped:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def isatty(self) -> bool:
        return False

    def read(self) -> str:
        return self._text


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + " }"
    return json.dumps(value)


def _forget_providers() -> None:
    """A process installs its telemetry once; here many commands share one."""
    trace._TRACER_PROVIDER_SET_ONCE, trace._TRACER_PROVIDER = Once(), None
    metrics._internal._METER_PROVIDER_SET_ONCE, metrics._internal._METER_PROVIDER = Once(), None


class Door:
    """Where a vendor is reached. The address stays for the whole session, the twin behind it is another in every test."""

    twin: Twin

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        return await self.twin(request)


@pytest.fixture(scope="session")
def doors() -> Iterator[list[tuple[str, Door]]]:
    """The addresses of IFS and of Zoho, served by an event loop in a thread of its own."""
    loop, stack = asyncio.new_event_loop(), contextlib.AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    opened = [Door(), Door()]
    yield [(wait(stack.enter_async_context(serving(door))), door) for door in opened]
    wait(stack.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a state that holds the secrets and nothing else, made by the first test that wants one."""
    return tmp_path_factory.mktemp("safe")


def _with_secrets(acme: Acme, safe: Path) -> None:
    names = ("acme.db", "acme.db.key")
    if (safe / names[0]).exists():
        for name in names:
            shutil.copy2(safe / name, acme.home)
        return
    acme.keep_secrets()
    for name in names:
        shutil.copy2(acme.home / name, safe)


@pytest.fixture
def make_acme(
    doors: list[tuple[str, Door]],
    safe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., Acme]]:
    """``make_acme(erp_fields=False)`` with options of Zoho's twin; secrets are kept already unless ``secrets=False``."""
    for name in ("ML_CONNECTOR_CONFIG", "ML_CONNECTOR_KEY", "ML_CONNECTOR_KEY_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made: list[Acme] = []

    def make(*, secrets: bool = True, **options: Any) -> Acme:
        ifs, zoho = IfsTwin(), ZohoTwin(**{"erp_fields": True, **options})
        zoho.add_field("Deals", "Customer_Reference")
        zoho.clock.advance(-30)  # behind ours by more than safety_lag_s, so that nobody has to wait for it
        for (_, door), twin in zip(doors, (ifs, zoho), strict=True):
            door.twin = twin
        made.append(Acme(tmp_path, ifs, zoho, [url for url, _ in doors], capsys))
        if secrets:
            _with_secrets(made[0], safe)
        return made[0]

    yield make
    for process in made[0].processes if made else ():
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def acme(make_acme: Callable[..., Acme]) -> Acme:
    """Both vendors empty, the configuration written, the secrets kept."""
    return make_acme()


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(lambda: …)``: wait until something holds; fail when it does not in time."""

    def wait(holds: Callable[[], object], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return wait
