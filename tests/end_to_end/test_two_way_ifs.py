"""Customers of IFS Cloud and accounts of Zoho kept in agreement both ways, with the real plugins and the real program."""

import pytest

FLOWS = """
[flows.parties]
between = ["ifs", "zoho"]
entity = "account"
match = ["number", "name"]
owner = "ifs"
owners = { phone = "zoho" }
"""
SWEDEN = '\n[connections.ifs.entities.account.create_defaults]\nCountry = "Sweden"\nCountryCode = "SE"\n'


class Parties:
    """The two worlds of one flow: ``acme`` with what people do on either side."""

    def __init__(self, acme):
        self.acme = acme
        acme.configure(FLOWS)
        acme.config.write_text(acme.config.read_text(encoding="utf-8") + SWEDEN, encoding="utf-8")

    def sync(self, code=0):
        self.acme.zoho.clock.advance(2)
        counts = self.acme.sync("parties", code=code)["parties"]
        self.acme.zoho.clock.advance(2)
        return counts

    def enters(self, name, **fields):
        self.acme.zoho.insert_as_person("Accounts", Account_Name=name, **fields)

    def zoho(self):
        return {row["Account_Name"]: row for row in self.acme.zoho.records("Accounts").values()}

    def ifs(self):
        return {facts["name"]: {**facts, "number": number} for number, facts in self.acme.ifs.facts("account")}

    def writes(self):
        return sum(
            method in ("PUT", "POST", "PATCH", "DELETE") and ("/Accounts" in path or "Customer" in path)
            for twin in (self.acme.ifs, self.acme.zoho)
            for method, path, _ in twin.calls
        )

    def quiet(self):
        """What was written comes back as an echo, and then nothing moves."""
        self.sync()
        before = self.writes()
        assert self.sync()["written"] == 0
        assert self.writes() == before


@pytest.fixture
def parties(acme):
    return Parties(acme)


def test_a_customer_entered_in_zoho_arrives_in_ifs_once_and_its_number_comes_to_stand_in_zoho(parties):
    parties.enters("Beta", Phone="+46 31 1")
    parties.sync()
    [made] = parties.ifs().values()
    assert (made["name"], made["phone"]) == ("Beta", "+46 31 1")
    parties.quiet()
    assert parties.zoho()["Beta"]["ERP_Customer_No"] == made["number"]
    assert list(parties.ifs()) == ["Beta"]


def test_a_customer_entered_in_ifs_arrives_in_zoho_and_edits_of_both_come_to_stand_on_both(parties):
    parties.acme.customer("C-100", "Acme", CountryCode="SE", Country="Sweden")
    parties.sync()
    parties.quiet()
    parties.acme.ifs.update("CustomerInfoSet", "C-100", Name="Acme AB")
    parties.acme.sam_edits("Accounts", "C-100", Phone="+46 8 2")
    parties.sync()
    parties.sync()
    assert (parties.ifs()["Acme AB"]["phone"], parties.zoho()["Acme AB"]["Phone"]) == ("+46 8 2", "+46 8 2")
    parties.quiet()
