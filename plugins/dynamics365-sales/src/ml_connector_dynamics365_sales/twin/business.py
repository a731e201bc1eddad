"""The sales tables' own rules: numbers, prices and totals, what may be edited in which state, and the sales actions."""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, Final

from ml_connector_dynamics365_sales.twin.schema import Table
from ml_connector_dynamics365_sales.twin.store import Environment, Row
from ml_connector_dynamics365_sales.twin.wire import INVALID, Refused

HEADER_OF: Final = {
    "salesorderdetail": ("salesorder", "salesorderid"),
    "quotedetail": ("quote", "quoteid"),
    "opportunityproduct": ("opportunity", "opportunityid"),
}
LINES_OF: Final = {header: (lines, lookup) for lines, (header, lookup) in HEADER_OF.items()}
_EDITABLE: Final = {"salesorder": 0, "quote": 0, "opportunity": 0}
_CLOSED_BY_ACTION: Final = {"salesorder": (2, 3), "quote": (2, 3), "opportunity": (1, 2)}
_CENT: Final = Decimal("0.01")
_FREE: Final = frozenset({"statecode", "statuscode"})


class Business:
    """Rules and actions over one environment."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._random = Random(365)
        self._number = 1000
        self.number_on_update = "refuse"  # or "ignore": the documentation leaves it open
        self.closing_by_patch = False
        self.actions: dict[str, Callable[[Mapping[str, Any], str], Row | None]] = {
            "FulfillSalesOrder": self._fulfil,
            "CancelSalesOrder": self._cancel,
            "WinQuote": lambda body, user: self._close_quote(body, user, "WinQuote", 2),
            "CloseQuote": lambda body, user: self._close_quote(body, user, "CloseQuote", 3),
            "WinOpportunity": lambda body, user: self._close_opportunity(body, user, 1),
            "LoseOpportunity": lambda body, user: self._close_opportunity(body, user, 2),
            "ConvertQuoteToSalesOrder": self._convert,
            "ReviseQuote": self._revise,
        }

    def integrates(self, user: str) -> bool:
        """Sales order processing integration is on, and this is its user."""
        on = any(org.values.get("issopintegrationenabled") for org in self._env.rows["organization"].values())
        return on and bool(self._env.rows["systemuser"][user].values.get("isintegrationuser"))

    # -- before a write

    def before_insert(self, table: Table, values: dict[str, Any]) -> None:
        initial = table.initial()
        if initial is not None:
            state, status = values.get("statecode", initial[0]), values.get("statuscode", initial[1])
            if (state, status) != initial:
                raise Refused(400, INVALID, f"{status} is not a valid status code for a new {table.name}")
        for column in table.columns.values():
            if column.required and values.get(column.name) is None:
                raise Refused(400, INVALID, f"The required field '{column.name}' is missing.")
        if table.name in ("salesorder", "quote") and not values.get("customerid"):
            raise Refused(400, INVALID, "The required field 'customerid' is missing.")
        if table.name in HEADER_OF:
            self._line(table.name, values)
        if table.name == "product":
            unit = self._env.rows["uom"].get(values.get("defaultuomid") or "")
            if unit is None or unit.values.get("uomscheduleid") != values.get("defaultuomscheduleid"):
                raise Refused(400, INVALID, "The default unit is not a member of the specified unit group.")
        if table.name in LINES_OF:
            self._currency(values)

    def before_update(self, table: Table, row: Row, values: dict[str, Any], user: str) -> None:
        for number in ("ordernumber", "quotenumber"):
            if number in values and values[number] != row.values.get(number):
                if self.number_on_update == "refuse":
                    raise Refused(400, INVALID, f"The property {number} cannot be modified.")
                del values[number]
        state = row.values.get("statecode")
        if table.name in _EDITABLE and values.keys() - _FREE and state != _EDITABLE[table.name] and not self.integrates(user):
            raise Refused(400, "", f"The {table.name} cannot be edited because it is not in the correct state.")
        if table.name in HEADER_OF:
            self._line(table.name, {**row.values, **values})
        if "statecode" in values or "statuscode" in values:
            self._state(table, row, values)

    def before_delete(self, table: Table, row: Row) -> None:
        if table.name == "account" and self._env.where("salesorder", customerid=row.id):
            raise Refused(405, "0x80040227", "The account cannot be deleted because it is associated with an order.")
        if table.name in HEADER_OF:
            self._open_header(table.name, row.values)

    def _state(self, table: Table, row: Row, values: dict[str, Any]) -> None:
        status = table.columns["statuscode"]
        state = values.get("statecode", row.values.get("statecode"))
        if "statuscode" not in values or values["statuscode"] is None:
            values["statuscode"] = next(value for value, its in status.states.items() if its == state)
        if status.states.get(values["statuscode"]) != state:
            raise Refused(
                400, "0x80048408", f"{values['statuscode']} is not a valid status code for state {state} of {table.name}"
            )
        moved = state != row.values.get("statecode")
        if moved and not self.closing_by_patch and state in _CLOSED_BY_ACTION.get(table.name, ()):
            raise Refused(400, "", f"A {table.name} is closed by its own message, not by an update of statecode.")

    def _line(self, table: str, values: Mapping[str, Any]) -> None:
        self._open_header(table, values)
        if values.get("quantity") is None:
            raise Refused(400, INVALID, "The required field 'quantity' is missing.")
        if values.get("isproductoverridden"):
            if not values.get("productdescription"):
                raise Refused(400, INVALID, "A write-in product needs a productdescription.")
            if values.get("productid"):
                raise Refused(400, INVALID, "A write-in product takes no productid.")
            return
        product = self._env.rows["product"].get(values.get("productid") or "")
        unit = self._env.rows["uom"].get(values.get("uomid") or "")
        if product is None or unit is None:
            raise Refused(400, INVALID, "A product and a unit are required.")
        if product.values["statecode"] != 0:
            raise Refused(400, "", "You can only add active products.")
        if unit.values["uomscheduleid"] != product.values["defaultuomscheduleid"]:
            raise Refused(400, "", "The unit does not belong to the product's unit group.")

    def _open_header(self, table: str, values: Mapping[str, Any]) -> None:
        header, lookup = HEADER_OF[table]
        row = self._env.row(header, values.get(lookup) or "")
        if row.values["statecode"] != 0:
            raise Refused(400, "", f"The {header} is not open, so its lines cannot be changed.")

    def _currency(self, values: Mapping[str, Any]) -> None:
        prices = self._env.rows["pricelevel"].get(values.get("pricelevelid") or "")
        if prices is not None and prices.values["transactioncurrencyid"] != values.get("transactioncurrencyid"):
            raise Refused(400, "", "The currency of the price list does not match the currency of the record.")

    # -- what a new record gets, and what follows a write

    def complete(self, table: Table, values: dict[str, Any]) -> None:
        org = next(iter(self._env.rows["organization"].values()))
        currency = table.columns.get("transactioncurrencyid")
        if currency is not None and not currency.required and not values.get("transactioncurrencyid"):
            values["transactioncurrencyid"] = org.values["basecurrencyid"]
        if table.name in ("salesorder", "quote"):
            field, prefix = ("ordernumber", "ORD") if table.name == "salesorder" else ("quotenumber", "QUO")
            if not values.get(field):
                values[field] = self._next_number(prefix)
        if table.name == "quote":
            values.setdefault("revisionnumber", 0)
        if table.name == "salesorder":
            values.setdefault("ordercreationmethod", 776160000)
        if table.name == "contact" or table.name == "lead":
            self.full_name(values)

    def full_name(self, values: dict[str, Any]) -> None:
        values["fullname"] = " ".join(filter(None, (values.get("firstname"), values.get("lastname")))) or None

    def after(self, table: str, row: Row, user: str) -> None:
        """Copies and totals that follow a write to a header or to a line."""
        self._env.keep(row)
        if "customerid" in row.values and table in LINES_OF:
            buyer, kind = row.values["customerid"], row.targets.get("customerid", "account")
            row.values["accountid"] = buyer if kind == "account" else None
            row.values["contactid"] = buyer if kind == "contact" else None
        if table == "contact" or table == "lead":
            self.full_name(row.values)
        if table in HEADER_OF:
            header, lookup = HEADER_OF[table]
            parent = self._env.rows[header].get(row.values.get(lookup) or "")
            if parent is not None and not self.integrates(user):
                self._price(header, parent)
                self._env.update(header, parent, {}, user)
        elif table in LINES_OF and not self.integrates(user) and row.values["statecode"] == 0:
            self._price(table, row)

    def _price(self, header: str, parent: Row) -> None:
        self._env.keep(parent)
        lines, lookup = LINES_OF[header]
        net = tax = Decimal()
        wrong = 0
        for line in self._env.where(lines, **{lookup: parent.id}):
            wrong = max(wrong, self._price_line(parent, line))
            net += (line.values["baseamount"] or 0) - (line.values.get("manualdiscountamount") or 0)
            tax += line.values.get("tax") or 0
        discount = parent.values.get("discountamount") or Decimal()
        freight = parent.values.get("freightamount") or Decimal()
        told = {
            "totallineitemamount": net,
            "totaltax": tax,
            "totalamountlessfreight": net - discount,
            "totalamount": net - discount + freight + tax,
            "pricingerrorcode": wrong,
        }
        parent.values |= told

    def _price_line(self, parent: Row, line: Row) -> int:
        self._env.keep(line)
        values, wrong = line.values, 0
        if not values.get("isproductoverridden") and not values.get("ispriceoverridden"):
            wanted = {
                "pricelevelid": parent.values.get("pricelevelid"),
                "productid": values["productid"],
                "uomid": values["uomid"],
            }
            item = self._env.by_key("productpricelevel", wanted)
            values["priceperunit"], wrong = (item.values["amount"], 0) if item is not None else (None, 11)
        base = (values.get("priceperunit") or Decimal()) * values["quantity"]
        values["baseamount"] = base.quantize(_CENT, ROUND_HALF_UP)
        values["extendedamount"] = values["baseamount"] - (values.get("manualdiscountamount") or 0) + (values.get("tax") or 0)
        values["pricingerrorcode"] = wrong
        return wrong

    def _next_number(self, prefix: str) -> str:
        self._number += 1
        letters = "".join(self._random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") for _ in range(6))
        return f"{prefix}-{self._number:05}-{letters}"

    # -- actions

    def _fulfil(self, body: Mapping[str, Any], user: str) -> None:
        order = self._closed(body, "OrderClose", "salesorderid", "salesorder")
        if order.values["statecode"] not in (0, 1):
            raise Refused(400, "", "The order is not open.")
        self._end("salesorder", order, 3, body, user, {"datefulfilled": self._env.stamp()})
        self._env.insert("orderclose", {"subject": "Fulfilled", "salesorderid": order.id}, user)

    def _cancel(self, body: Mapping[str, Any], user: str) -> None:
        order = self._closed(body, "OrderClose", "salesorderid", "salesorder")
        if order.values["statecode"] not in (0, 1):
            raise Refused(400, "", "The order is not open.")
        self._end("salesorder", order, 2, body, user, {})

    def _close_quote(self, body: Mapping[str, Any], user: str, message: str, state: int) -> None:
        quote = self._closed(body, "QuoteClose", "quoteid", "quote")
        if quote.values["statecode"] not in ((1,) if state == 2 else (0, 1)):
            raise Refused(400, "", f"{message}: the quote is not in the correct state.")
        self._end("quote", quote, state, body, user, {"closedon": f"{self._env.now():%Y-%m-%d}"})

    def _close_opportunity(self, body: Mapping[str, Any], user: str, state: int) -> None:
        deal = self._closed(body, "OpportunityClose", "opportunityid", "opportunity")
        if deal.values["statecode"] != 0:
            raise Refused(400, "", "The opportunity has already been closed.")
        self._end("opportunity", deal, state, body, user, {"actualclosedate": f"{self._env.now():%Y-%m-%d}"})

    def _end(self, table: str, row: Row, state: int, body: Mapping[str, Any], user: str, more: Mapping[str, Any]) -> None:
        status = self._env.defs[table].columns["statuscode"]
        wanted = body.get("Status", -1)
        if wanted == -1:
            wanted = next(value for value, its in status.states.items() if its == state)
        if status.states.get(wanted) != state:
            raise Refused(400, "0x80048408", f"{wanted} is not a valid status code for state {state} of {table}")
        self._env.update(table, row, {"statecode": state, "statuscode": wanted, **more}, user)

    def _closed(self, body: Mapping[str, Any], name: str, lookup: str, table: str) -> Row:
        activity = body.get(name)
        bound = activity.get(f"{lookup}@odata.bind") if isinstance(activity, dict) else None
        if not isinstance(bound, str) or "(" not in bound or "Status" not in body:
            raise Refused(400, INVALID, f"{name} with {lookup}@odata.bind, and Status, are required.")
        return self._env.row(table, bound[bound.index("(") + 1 : -1])

    def _convert(self, body: Mapping[str, Any], user: str) -> Row:
        """Every call makes an order, the second one too."""
        quote = self._env.row("quote", str(body.get("QuoteId", "")))
        if quote.values["statecode"] not in (1, 2):
            raise Refused(400, "", "The quote must be active or won to be converted.")
        if quote.values["statecode"] == 1:
            self._end("quote", quote, 2, {"Status": body.get("QuoteCloseStatus", -1)}, user, {})
        kept = (
            "name",
            "customerid",
            "pricelevelid",
            "transactioncurrencyid",
            "opportunityid",
            "freightamount",
            "discountamount",
        )
        values = {name: quote.values.get(name) for name in kept} | {"quoteid": quote.id, "ordercreationmethod": 776160001}
        order_table = self._env.defs["salesorder"]
        self.complete(order_table, values)
        order = self._env.insert("salesorder", values, user, targets=quote.targets)
        self._copy_lines("quote", quote, "salesorder", order, user)
        return order

    def _revise(self, body: Mapping[str, Any], user: str) -> Row:
        quote = self._env.row("quote", str(body.get("QuoteId", "")))
        if quote.values["statecode"] not in (1, 2, 3) or quote.values["statuscode"] == 7:
            raise Refused(400, "", "The quote cannot be revised in its state.")
        new = {
            k: v for k, v in quote.values.items() if k not in ("quoteid", "statecode", "statuscode", "createdon", "closedon")
        }
        new["revisionnumber"] = (quote.values.get("revisionnumber") or 0) + 1
        self._env.update("quote", quote, {"statecode": 3, "statuscode": 7}, user)
        made = self._env.insert("quote", new, user, targets=quote.targets)
        self._copy_lines("quote", quote, "quote", made, user)
        return made

    def _copy_lines(self, source: str, old: Row, goal: str, new: Row, user: str) -> None:
        (lines, lookup), (own, own_lookup) = LINES_OF[source], LINES_OF[goal]
        for line in self._env.where(lines, **{lookup: old.id}):
            names = self._env.defs[own].columns
            values = {k: v for k, v in line.values.items() if k in names and k != lookup and names[k].type != "guid"}
            self._env.insert(own, {**values, own_lookup: new.id}, user)
        self.after(goal, new, user)
