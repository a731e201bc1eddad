"""A wrong secret pauses its connection and no other, says what to do, and is forgotten once it is right."""

SANDBOX = """
[flows.copies]
from = "ifs"
to = "sandbox"
entity = "account"
every = "1h"
"""


def with_sandbox(acme):
    """A second connection to Zoho, with a client secret of its own."""
    settings = acme.config.read_text().partition("[connections.zoho]")[2].partition("[flows")[0]
    settings = settings.replace("secret:twin/zoho_client_secret", "secret:sandbox/client_secret")
    acme.rewrite("[flows.customers]", f"[connections.sandbox]{settings}\n{SANDBOX}\n[flows.customers]")
    return acme


def paused(acme):
    return {each["connection"]: each["paused"] for each in acme.run("status", "--json").json["connections"] if each["paused"]}


def test_the_others_go_on_and_the_right_secret_heals(acme):
    with_sandbox(acme).customer("C-100")
    acme.run("secrets", "set", "sandbox/client_secret", stdin="wrong")
    told = acme.run("sync")
    assert told.code == 3
    assert "sandbox" in told.err
    assert acme.held()["C-100"]
    assert list(paused(acme)) == ["sandbox"]
    shown = acme.run("status")
    assert shown.code == 3
    assert "sandbox: PAUSED" in shown.out
    told = acme.run("secrets", "set", "sandbox/client_secret", stdin="zoho-twin-secret")
    assert "sandbox is no longer paused" in told.out
    assert paused(acme) == {}
    assert acme.sync()["copies"]["read"] == 1


def test_a_run_says_what_to_do_about_a_refused_secret(make_acme):
    acme = make_acme(secrets=False)
    acme.keep_secrets(ifs_client_secret="wrong")
    told = acme.run("sync", "customers")
    assert told.code == 3
    assert "ifs" in told.err
    assert "secret" in told.err.lower()
    assert "wrong" not in told.out + told.err
    assert list(paused(acme)) == ["ifs"]


def test_a_missing_secret_pauses_its_connection_and_names_the_command(make_acme):
    acme = make_acme(secrets=False)
    told = acme.run("sync", "customers")
    assert told.code == 3
    assert "ml-connector secrets set twin/" in told.err


def test_a_ping_that_succeeds_lifts_the_pause(make_acme):
    acme = make_acme(secrets=False)
    acme.run("sync", "customers")
    assert paused(acme)
    acme.keep_secrets()
    acme.run("secrets", "set", "twin/ifs_client_secret", stdin="wrong")
    acme.run("sync", "customers")
    acme.ifs.identity.client_secret = "wrong"  # the administrator at the other end gave in
    assert acme.run("ping", "ifs").code == 0
    assert paused(acme) == {}
