"""How many records one process merges and decides in a second: pure functions, no systems, no state.

python bench/merge.py [--records 100000]

Accounts with twenty fields of which an address and custom ones. One in three moved on one side, one in three on both (half of
them in the same field: a clash), the rest on none. Then orders with three lines each.
"""

import argparse
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ml_connector.domain import Account, Address, Entity, Extra, Line, Money, Order, Ref
from ml_connector.flows import Flow
from ml_connector.ports.state import End, Link
from ml_connector.sync import content
from ml_connector.sync.decide import decide
from ml_connector.sync.merge import View, merge


def account(number: int) -> Account:
    return Account(
        number=f"C-{number:06}",
        name=f"Acme {number} AB",
        description="A customer",
        category="Customer",
        tax_id="SE556677889901",
        phone="+46 8 123 45 67",
        email=f"info@acme{number}.example",
        website="https://acme.example",
        industry="Shipping",
        language="sv",
        currency="SEK",
        parent=Ref("account", "P-1"),
        billing=Address("Kajen 1", "Stockholm", None, "111 22", "SE"),
        shipping=Address("Hamnen 2", "Malmö", None, "211 22", "SE"),
        credit_limit=Money(Decimal("100000.00"), "SEK"),
        payment_terms="30",
        employees=number % 900,
        active=True,
        extra=Extra({"cost_center": "CC1", "region": "North"}),
    )


def order(number: int) -> Order:
    line = Line(key="1", sku="A", description="Part", quantity=Decimal(3), unit="pcs", unit_price=Decimal("12.50"))
    lines = tuple(msgspec.structs.replace(line, key=str(key)) for key in range(3))
    return Order(number=str(number), status="Released", total=Money(Decimal("75.00"), "EUR"), lines=lines)


def cases(make: Callable[[int], Any], count: int, edit: Callable[[Any, str], Any]) -> list[tuple[View, View]]:
    found: list[tuple[View, View]] = []
    for number in range(count):
        base, left, right = make(number), make(number), make(number)
        if number % 3 == 1:
            left = edit(left, "left")
        elif number % 3 == 2:
            left, right = edit(left, "left"), edit(right, "left" if number % 2 else "right")
        found.append((View(base, left), View(base, right)))
    return found


def rate(what: str, count: int, work: Callable[[], None]) -> None:
    began = time.perf_counter()
    work()
    print(f"{what:40} {count / (time.perf_counter() - began):10,.0f} records/s", flush=True)


def main(count: int) -> None:
    flow = Flow(name="f", left="erp", right="crm", entity="account", target="account", two_way=True, owner="left")
    one_way = Flow(name="f", left="erp", right="crm", entity="account", target="account")

    def edited(entity: Any, side: str) -> Any:
        return msgspec.structs.replace(entity, **({"phone": side} if side == "left" else {"industry": side}))

    def lines(entity: Any, side: str) -> Any:
        first = msgspec.structs.replace(entity.lines[0], quantity=Decimal(len(side)))
        return msgspec.structs.replace(entity, lines=(first, *entity.lines[1:]))

    accounts, orders = cases(account, count, edited), cases(order, count, lines)

    def merging(pairs: list[tuple[View, View]]) -> Callable[[], None]:
        def work() -> None:
            for left, right in pairs:
                merge(flow, left, right)

        return work

    rate("merge accounts", count, merging(accounts))
    rate("merge orders with three lines", count, merging(orders))

    def decide_all() -> None:
        for (left, _), told in zip(accounts, agreed, strict=True):
            link = Link(id="1", flow="f", number="1", left=End("1", "1"), right=End("2", "2"), standing="agreed", agreed=told)
            decide(one_way, left.now, link, None)

    agreed = [content.encode(_entity(left.base)) for left, _ in accounts]
    rate("decide accounts, one way", count, decide_all)


def _entity(entity: Entity | None) -> Entity:
    assert entity is not None
    return entity


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    main(parser.parse_args().records)
