"""The vault from the command line: values go in and never come out, not by any command."""

import pytest

from ml_connector.twin import Fault

CANARY = "canary-7f3a9c-do-not-show"
COMMANDS = (
    "sync",
    "sync",
    "status",
    "status --json",
    "failures list",
    "explain order 10042",
    "ping",
    "check",
    "schema",
    "audit export",
    "audit verify",
    "secrets list",
    "secrets rotate",
    "db status",
    "systems",
    "replay account C-100",
    "sync --full",
)


@pytest.fixture
def canary(make_acme):
    """Every secret of both vendors is the canary, or holds it."""
    acme = make_acme(secrets=False, client_secret=CANARY, refresh_token=f"1000.{CANARY}")
    acme.ifs.identity.client_secret = CANARY
    acme.keep_secrets()
    return acme


def test_values_are_never_shown_and_names_are(canary):
    told = canary.run("secrets", "list")
    assert "twin/zoho_refresh_token" in told.out
    assert CANARY not in told.out
    assert [each["name"] for each in canary.run("secrets", "list", "--json").json] == sorted(
        {**canary.ifs.secrets(), **canary.zoho.secrets()}
    )


def test_a_canary_secret_and_every_token_stay_out_of_all_that_is_printed_and_kept(canary):
    canary.customer()
    canary.order("10042")
    canary.order("10043", "C-404")
    canary.ifs.faults.add(Fault("garbage", path="CustomerOrderSet"))
    canary.zoho.faults.add(Fault("expire_tokens", path="upsert"))
    told = [canary.run(*command.split()) for command in COMMANDS]
    printed = "".join(each.out + each.err for each in told)
    tokens = [token for token in (*canary.zoho.accounts.tokens, *canary.ifs.identity._access) if token]
    assert tokens
    kept = b"".join(path.read_bytes() for path in canary.home.iterdir() if path.name.startswith("acme.db"))
    for secret in (CANARY, *tokens):
        assert secret not in printed
        assert secret.encode() not in kept


def test_a_wrong_canary_is_not_repeated_by_the_error(canary):
    canary.run("secrets", "set", "twin/zoho_client_secret", stdin=f"{CANARY}-wrong")
    told = canary.run("sync")
    assert told.code == 3
    assert CANARY not in told.out + told.err


def test_a_rotated_vault_still_opens_and_the_old_key_does_not_open_it(acme):
    key = acme.home / "acme.db.key"
    old = key.read_text()
    assert "wrapped 3 secrets" in acme.run("secrets", "rotate").out
    acme.customer()
    acme.sync("customers")
    assert key.read_text() != old
    key.write_text(old)
    told = acme.run("sync", "customers")
    assert told.code == 2
    assert "master key" in told.err


def test_a_lost_key_is_told_with_the_way_out_which_works(acme):
    (acme.home / "acme.db.key").unlink()
    told = acme.run("sync", "customers")
    assert (told.code, "secrets forget" in told.err) == (2, True), told
    assert acme.run("secrets", "forget").code == 0
    assert acme.run("secrets", "list", "--json").json == []
    acme.keep_secrets()
    acme.customer()
    acme.sync("customers")


def test_an_empty_value_is_not_kept(acme):
    assert acme.run("secrets", "set", "twin/zoho_client_secret", stdin="\n").code == 2
    assert acme.run("ping", "zoho").code == 0


def test_the_generated_key_is_its_owners_alone_and_status_says_where_it_is(acme):
    assert (acme.home / "acme.db.key").stat().st_mode & 0o077 == 0
    assert "acme.db.key" in acme.run("status").out
