"""Processes that are told to stop, that are killed, and that meet another one at work."""

import signal
import socket

CUSTOMERS, ORDERS = 60, 40


def fill(acme):
    acme.ifs.fill(CUSTOMERS, 0)
    acme.configure(zoho={"limits": {"concurrency": 1}})


def writing(acme):
    return sum(path.endswith("/upsert") for _, path, _ in acme.zoho.calls)


def numbers(acme):
    return [row["ERP_Customer_No"] for row in acme.zoho.records("Accounts").values()]


def test_sigterm_finishes_the_batch_in_hand_and_the_next_run_goes_on_from_there(acme, until):
    fill(acme)
    acme.zoho.latency_s = 0.5
    process = acme.start("sync", "customers")
    until(lambda: acme.zoho.calls)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "finishing the batch in hand" in err
    assert "stopped" in out
    acme.zoho.latency_s = 0
    assert acme.run("status", "--json").json["flows"][0]["last_run"]["outcome"] == "stopped"
    acme.sync("customers")
    assert len(numbers(acme)) == len(set(numbers(acme))) > 40


def test_sigkill_in_the_middle_of_a_run_loses_nothing_and_doubles_nothing(acme, until):
    fill(acme)
    acme.zoho.latency_s = 0.3
    process = acme.start("sync", "customers")
    until(lambda: acme.zoho.records("Accounts"))  # written over there, its answer not yet here
    process.kill()
    process.wait()
    acme.zoho.latency_s = 0
    acme.sync("customers")
    wanted = [number for number, facts in acme.ifs.facts("account") if facts["category"] == "Customer"]
    assert sorted(numbers(acme)) == sorted(wanted)
    assert acme.sync("customers")["customers"]["written"] == 0
    assert acme.run("audit", "verify").code == 0


def test_a_second_runner_says_who_holds_the_flow_and_takes_over_from_the_dead(acme, until):
    acme.customer()
    acme.zoho.latency_s = 1
    first = acme.start("sync", "customers")
    until(lambda: acme.zoho.calls)
    told = acme.run("sync", "customers")
    assert told.code == 4
    assert f"customers: {socket.gethostname()}:{first.pid}:" in told.err
    first.kill()
    first.wait()
    acme.zoho.latency_s = 0
    assert acme.sync("customers")["customers"]["written"] == 1
