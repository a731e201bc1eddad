"""Acme as a user meets it: a folder with a configuration, the real program, and the vendors' twins behind real sockets."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry import metrics, trace
from opentelemetry.util._once import Once

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
