"""What people do at two twins, drawn from a story's generator: edits that a twin makes up, and fields that they set by hand."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from ml_connector.domain import Side
from ml_connector.flows import Flow
from ml_connector.simulation.story import Edit, Enter, Step, Stir
from ml_connector_adapters.runner.simulate.script import BOTH

ADDRESS: Final = {"billing.street": "Kungsgatan 4", "billing.city": "Uppsala", "billing.country": "Sweden"}
"""Where most of those who shall be made ready for invoices are."""
OTHER: Final[Mapping[Side, Side]] = {"left": "right", "right": "left"}


class People:
    """``hands`` are the sides on which they set fields, ``known`` the numbers of the accounts that stand there at first.

    ``numbers``: new accounts get theirs from a system; else people give them. ``addresses``: they enter addresses as well.
    """

    def __init__(
        self, flows: Sequence[Flow], hands: Sequence[Side], *, known: Sequence[str], numbers: bool, addresses: bool
    ) -> None:
        self._flows, self._hands, self._known = flows, hands, known
        self._numbers, self._addresses = numbers, addresses
        self._often = 0.6 if any(flow.two_way for flow in flows) else 0.3
        self._drawn = 0
        self._last: Edit | None = None

    def draws(self, random: Random) -> Step:
        if self._hands and random.random() < self._often:
            return self._by_hand(random)
        side: Side = "right" if random.random() < 0.2 else "left"
        kinds = dict.fromkeys(flow.kind(side) for flow in self._flows)
        count = 1 if side == "right" else random.randint(1, 2)
        return Stir(side=side, kind=random.choice([*kinds]), count=count, seed=random.randrange(10**6))

    def _by_hand(self, random: Random) -> Step:
        """Values that never come twice, so that each tells where it is from, and no two accounts are of one name."""
        self._drawn += 1
        mark = self._drawn
        value = {
            "name": random.choice((f"Zoë 🚚 {mark} & Söhne", f"O'Neil {mark} Ltd")),
            "phone": f"+46 8 {mark:05}",
            "website": f"https://www.acme{mark}.example",
            "number": f"K-{mark}",
        }
        side: Side = random.choice(self._hands)
        if random.random() < 0.25:
            told = self._entered(random, side, value | {"name": f"Newcomer {mark}"})
            return Enter(side=side, kind="account", number=f"new-{mark}", fields=told)
        side, number, names = self._chosen(random, side)
        fields = {name: None if name == "website" and random.random() < 0.2 else value[name] for name in names}
        self._last = Edit(side=side, kind="account", number=number, fields=fields)
        return self._last

    def _chosen(self, random: Random, side: Side) -> tuple[Side, str, Sequence[str]]:
        """Which fields of which account somebody sets, and where."""
        if self._last is not None and random.random() < 0.3:  # somebody else, on the other side, sets the same ones
            far = OTHER[self._last.side]
            return (far if far in self._hands else side), self._last.number, [*self._last.fields]
        if "right" in self._hands and not self._numbers and random.random() < 0.15:
            return "right", f"new-{random.randint(1, self._drawn)}", ["number"]
        names = random.sample(BOTH, random.choice((1, 1, 2)))
        return side, random.choice([*self._known, *(f"new-{one}" for one in range(1, self._drawn))]), names

    def _entered(self, random: Random, side: Side, fields: Mapping[str, str]) -> dict[str, str]:
        """Whoever enters an account at a CRM may not know yet what number it shall have."""
        told = dict(fields)
        if self._numbers or (side == "right" and random.random() < 0.25):
            del told["number"]
        return told | (ADDRESS if self._addresses and random.random() < 0.7 else {})
