"""``ml-connector run``: flows on their schedule and on notices, probes, and a clean stop, as a process of its own."""

import json
import re
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest


class Runner:
    """A headless runner with what it logs; ``url`` is its receiver."""

    def __init__(self, acme, until, *arguments):
        self.process, self._lines = acme.start("run", "--listen", "127.0.0.1:0", *arguments), []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "listening on" in self.log)
        self.url = "http://" + re.search(r"listening on (\S+)", self.log)[1]

    def _read(self):
        for line in self.process.stderr:
            self._lines.append(line)

    @property
    def log(self):
        return "".join(self._lines)

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def notify(self, delivery):
        """Hand one of Zoho's deliveries to the receiver, wherever Zoho believes that it is."""
        url, body = delivery
        target = urlsplit(url)
        return httpx.post(f"{self.url}{target.path}?{target.query}", content=body).status_code

    def notices(self, outcome):
        """How many notices were counted with this outcome."""
        found = re.search(
            rf'ml_connector_notices_total{{.*outcome="{outcome}".*}} (\d+)', httpx.get(f"{self.url}/metrics").text
        )
        return int(found[1]) if found else 0


@pytest.fixture
def runner(acme, until):
    """A runner over one customer and one order that have arrived, with a channel at Zoho."""
    acme.customer()
    acme.order("10042", CustomerPoNo="PO-7")
    acme.public_url = "https://sync.acme.example"
    acme.configure()
    runner = Runner(acme, until)
    until(lambda: acme.held("Deals") and acme.zoho.watch.channels)
    until(lambda: "acme/orders: green" in runner.log)
    acme.zoho.deliveries.clear()
    yield runner
    assert runner.stop() == 0
    assert "Traceback" not in runner.log


def test_the_probes_answer_and_the_metrics_count_records(runner):
    assert [httpx.get(f"{runner.url}/{probe}").status_code for probe in ("healthz", "readyz")] == [200, 200]
    assert re.search(r'ml_connector_records_total{.*outcome="written".*} 1', httpx.get(f"{runner.url}/metrics").text)
    assert httpx.get(f"{runner.url}/").status_code == 404
    assert "trace " in runner.log


def test_a_genuine_notice_makes_its_flow_look_at_once(acme, runner, until):
    acme.sam_edits("Deals", "10042", Customer_Reference="Sam's own")
    [delivery] = acme.zoho.deliveries
    assert runner.notify(delivery) == 200
    until(lambda: "edited at zoho: customer_reference" in acme.run("explain", "order", "10042").out)
    assert runner.notices("accepted") == 1


def test_forged_oversized_and_repeated_notices_change_nothing(acme, runner, until):
    acme.sam_edits("Deals", "10042", Customer_Reference="Sam's own")
    [(url, body)] = acme.zoho.deliveries
    told = json.loads(body)
    forgeries = [
        (url, json.dumps({**told, "token": "guessed"}).encode()),
        (url.partition("?")[0], body),
        (url.replace("/notices/", "/notices/x"), body),
        (url, b"not even JSON"),
    ]
    assert [runner.notify(forgery) for forgery in forgeries] == [404] * 4
    assert runner.notify((url, body + b" " * 300_000)) == 413
    assert (runner.notices("rejected"), runner.notices("oversized")) == (4, 1)
    assert "edited at zoho" not in acme.run("explain", "order", "10042").out
    assert runner.notify((url, body)) == 200
    until(lambda: runner.log.count("acme/orders: ") == 2)
    assert runner.notify((url, body)) == 200  # a repeat is thanked for and looked at no more
    time.sleep(1.5)
    assert acme.run("explain", "order", "10042").out.count("drifted") == 1
    assert runner.log.count("acme/orders: ") == 2


def test_a_taken_port_is_told_before_anything_starts(acme):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = acme.run("run", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert told.code == 2
    assert "--listen" in told.err


def test_a_wrong_secret_put_right_while_the_runner_lives_heals_without_a_restart(acme, until):
    acme.customer()
    acme.run("secrets", "set", "twin/zoho_client_secret", stdin="wrong")
    runner = Runner(acme, until)
    until(lambda: "invalid_client_secret" in runner.log)
    until(lambda: acme.run("status").code == 3)
    assert runner.log.count("invalid_client_secret") == 1
    acme.keep_secrets()
    until(lambda: acme.zoho.records("Accounts"), 20)
    assert runner.stop() == 0
