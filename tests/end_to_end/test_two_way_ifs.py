"""IFS Cloud written to from Zoho: customers both ways, orders one way, with the real plugins and the real program."""

from decimal import Decimal

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


ORDERS = """
[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"

[flows.parts]
from = "ifs"
to = "zoho"
entity = "product"
set = { unit = "'Piece'" }

[flows.sales]
from = "zoho"
to = "ifs"
entity = "order"
after = ["customers", "parts"]
match = ["external_reference"]
fields = ["external_reference", "customer", "customer_reference", "wanted_on", "status", "lines"]

[flows.sales.set]
external_reference = "customer_reference"
wanted_on = "'2026-03-31'"
status = "'Released'"
"""
DEFAULTS = """
[connections.ifs.entities.order.create_defaults]
Contract = "S01"
OrderId = "NO"
CurrencyCode = "EUR"
[connections.ifs.entities.product]
site = "S01"
"""


def test_an_order_entered_in_zoho_arrives_in_ifs_with_its_lines_and_released_and_its_edits_follow(acme):
    acme.configure(ORDERS)
    acme.config.write_text(acme.config.read_text(encoding="utf-8") + DEFAULTS, encoding="utf-8")
    acme.customer("C-100", "Acme")
    acme.sync()
    parts = {row["ERP_Item_No"]: one for one, row in acme.zoho.records("Products").items()}
    items = [{"Product_Name": {"id": parts[number]}, "Quantity": 2, "List_Price": Decimal(10)} for number in ("P-100", "P-101")]
    head = {"Account_Name": acme.held()["C-100"]["id"], "Subject": "Pumps", "Purchase_Order": "PO-1"}
    acme.zoho.clock.advance(2)
    order = acme.zoho.insert_as_person("Sales_Orders", **head, Ordered_Items=items)
    acme.zoho.clock.advance(2)
    assert acme.sync("sales")["sales"]["written"] == 1
    [(number, facts)] = acme.ifs.facts("order")
    assert (facts["status"], facts["customer"], facts["external_reference"]) == ("Released", "C-100", "PO-1")
    assert [(part, quantity) for _, part, quantity, _ in facts["lines"]] == [("P-100", 2), ("P-101", 2)]
    first, second = acme.zoho.records("Ordered_Items")
    edits = [{"id": first, "Quantity": 5}, {"id": second, "_delete": None}, {**items[1], "Quantity": 7}]
    acme.zoho.edit_as_person("Sales_Orders", order, Ordered_Items=edits)
    acme.zoho.clock.advance(2)
    assert acme.sync("sales")["sales"]["written"] == 1
    [(same, facts)] = acme.ifs.facts("order")
    assert (same, facts["status"]) == (number, "Released")
    told = [(row["CatalogNo"], row["BuyQtyDue"], row["Objstate"]) for row in acme.ifs.rows("CustomerOrderLineSet")]
    assert told == [("P-100", 5, "Released"), ("P-101", 2, "Cancelled"), ("P-101", 7, "Released")]
    assert acme.sync("sales")["sales"]["written"] == 0
