"""Zoho leads, Oracle Fusion invoices: the recipe as it ships, with the real plugins and the real program."""

import tomllib
from decimal import Decimal

import pytest
from acme_world import toml

from ml_connector.twin import Fault
from ml_connector_oracle_fusion.plugin import SPEC
from ml_connector_oracle_fusion.twin import OracleTwin

MONEY = ("Customer", "Balance", "Overdue", "Currency", "Credit_Limit", "Credit_Hold", "Payment_Terms")
STORM = (
    Fault("status", status=429, retry_after="1"),
    Fault("status", status=503),
    Fault("lost_after"),
    Fault("lost_before"),
)


class Finance:
    """``oracle`` behind the address of the ERP, Zoho behind its own, and what people do at either."""

    def __init__(self, acme, doors):
        self.acme, self.oracle, self.zoho = acme, OracleTwin(), acme.zoho
        door = doors[0][1]
        door.twin = self.oracle
        for name in MONEY:
            self.zoho.add_field("Accounts", f"AR_{name}")
        recipe = SPEC.recipes["zoho-crm"]
        lines = ["[workspace]", 'name = "acme"', 'state = "sqlite:///acme.db"']
        for name, told in tomllib.loads(recipe)["connections"].items():
            twin, url = (self.zoho, acme.urls[1]) if name == "zoho" else (self.oracle, acme.urls[0])
            settings = {**told, **twin.settings(url), **({"safety_lag_s": 1} if name == "zoho" else {})}
            lines += ["", f"[connections.{name}]", *(f"{key} = {toml(value)}" for key, value in settings.items())]
        acme.config.write_text("\n".join([*lines, "", recipe[recipe.index("[flows.") :]]), encoding="utf-8")
        for name, value in {**self.oracle.secrets(), **self.zoho.secrets()}.items():
            assert acme.run("secrets", "set", name, stdin=value).code == 0

    def enters(self, name, **fields):
        told = {"Account_Name": name, "Account_Type": "Customer", "Billing_City": "Uppsala", "Billing_Country": "Sweden"}
        account = self.zoho.insert_as_person("Accounts", **{**told, **fields})
        self.zoho.clock.advance(2)
        return account

    def sync(self, code=0):
        counts = self.acme.sync(code=code)
        self.zoho.clock.advance(2)
        return counts

    def parties(self):
        return dict(self.oracle.facts("account"))

    def customers(self):
        return list(self.oracle.store.rows("customer_accounts").values())


@pytest.fixture
def finance(make_acme, doors):
    return Finance(make_acme(secrets=False), doors)


def test_a_new_account_can_be_invoiced_and_what_it_owes_comes_back(finance):
    account = finance.enters("Acme", Phone="+46 18 1", Website="https://acme.example")
    finance.zoho.insert_as_person("Contacts", Last_Name="Larsen", Account_Name={"id": account})
    finance.zoho.clock.advance(2)
    counts = finance.sync()
    assert (counts["accounts"]["written"], counts["contacts"]["written"]) == (1, 1)
    facts = finance.parties()[account]
    assert (facts["name"], facts["phone"], facts["billing.country"]) == ("Acme", "+46 18 1", "SE")
    [customer] = finance.customers()
    assert [use["SiteUseCode"] for use in customer["_sites"][0]["_uses"]] == ["BILL_TO"]
    [(_, person)] = finance.oracle.facts("contact")
    assert (person["last_name"], person["account"]) == ("Larsen", account)

    finance.oracle.invoice(customer["AccountNumber"], Decimal("1250.50"))
    finance.oracle.set_credit(customer["AccountNumber"], CreditLimit="5000", CreditHold="Y")
    assert finance.sync()["balances"]["written"] == 1
    row = finance.zoho.records("Accounts")[account]
    assert (row["AR_Balance"], row["AR_Credit_Limit"], row["AR_Credit_Hold"]) == ("1250.50", "5000", "On hold")
    assert not any(counts["written"] for counts in finance.sync().values())


def test_an_edit_in_the_crm_reaches_the_party_and_touches_nothing_else(finance):
    account = finance.enters("Acme", Phone="+46 18 1")
    finance.sync()
    finance.zoho.edit_as_person("Accounts", account, Phone="+46 18 2")
    finance.zoho.clock.advance(2)
    assert finance.sync()["accounts"]["written"] == 1
    assert finance.parties()[account]["phone"] == "+46 18 2"
    assert len(finance.customers()) == 1


def test_a_prospect_is_a_party_alone_until_it_buys(finance):
    account = finance.enters("Acme", Account_Type="Prospect")
    finance.sync()
    assert (finance.parties()[account]["category"], finance.customers()) == ("Prospect", [])
    finance.zoho.edit_as_person("Accounts", account, Account_Type="Customer")
    finance.zoho.clock.advance(2)
    finance.sync()
    assert (finance.parties()[account]["category"], len(finance.customers())) == ("Customer", 1)


def test_an_account_without_a_country_waits_and_the_others_go_on(finance):
    waits, goes = finance.enters("Waits", Billing_Country=None), finance.enters("Goes")
    counts = finance.sync(code=1)["accounts"]
    assert (counts["written"], counts["rejected"], list(finance.parties())) == (1, 1, [goes])
    finance.zoho.edit_as_person("Accounts", waits, Billing_Country="SE")
    finance.zoho.clock.advance(2)
    finance.sync()
    assert set(finance.parties()) == {waits, goes}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_over_every_step_leaves_each_account_one_customer(finance, seed):
    accounts = {finance.enters(f"Acme {n}") for n in range(12)}
    finance.oracle.faults.storm(seed, 0.08, STORM)
    for _ in range(4):
        finance.acme.run("sync")
    finance.oracle.faults.calm()
    for _ in range(3):
        finance.acme.run("sync")
    counts = finance.sync()
    assert not any(each["written"] for each in counts.values())
    assert set(finance.parties()) == accounts
    assert len(finance.oracle.store.rows("accounts")) == len(finance.customers()) == 12
    assert [len(customer["_sites"]) for customer in finance.customers()] == [1] * 12
    assert len(finance.oracle.store.rows("profiles")) == 12


def test_a_program_that_is_killed_on_the_way_completes_every_customer(finance, until):
    accounts = {finance.enters(f"Acme {n}") for n in range(8)}
    run = finance.acme.start("sync")
    until(lambda: len(finance.oracle.store.rows("profiles")) >= 2)
    run.kill()
    run.wait()
    for _ in range(3):
        finance.acme.run("sync")
    assert set(finance.parties()) == accounts
    assert len(finance.oracle.store.rows("accounts")) == len(finance.customers()) == 8
    assert [len(customer["_sites"]) for customer in finance.customers()] == [1] * 8
    assert not any(each["written"] for each in finance.sync().values())
