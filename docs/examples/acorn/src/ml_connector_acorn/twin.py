"""Acorn's API as far as the plugin uses it, as strict as Acorn would be."""

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse

LIFE_S: Final = 3600
LONGEST: Final = 80
"""Characters in a name."""


class AcornTwin:
    """One Acorn account with its customers."""

    settles_s = 2.5

    def __init__(self, *, clock: TwinClock | None = None) -> None:
        self.clock, self.faults = clock or TwinClock(), Faults()
        self.calls: list[tuple[str, str, int]] = []
        self.client_secret = "acorn-twin-secret"
        self.tokens: dict[str, dt.datetime] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self._seq = self._minted = 0

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        page = b"<html>Sign in</html>"
        told = await self.faults.meet(request, self._work, forget=self.tokens.clear, page=page)
        self.calls.append((request.method, request.path, told.status))
        return told

    async def _work(self, request: TwinRequest) -> TwinResponse:
        if request.path == "/oauth/token":
            return self._token(parse_qs(request.body.decode()))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(token, self.clock.now()) <= self.clock.now():
            return _json(401, {"code": "token", "message": "unknown or expired"})
        if (request.method, request.path) == ("GET", "/v1/customers"):
            return self._list(parse_qs(request.query))
        name = unquote(request.path.rpartition("/")[2])
        if request.method == "PUT" and request.path.startswith("/v1/customers/by-number/"):
            return self._put(name, msgspec.json.decode(request.body))
        if request.method == "PATCH":
            return self._patch(name, msgspec.json.decode(request.body), request.headers.get("if-match"))
        return _json(405, {"code": "method", "message": f"{request.method} {request.path}"})

    def _token(self, form: Mapping[str, list[str]]) -> TwinResponse:
        if form.get("client_secret") != [self.client_secret]:
            return _json(401, {"error": "invalid_client"})
        self._minted += 1
        self.tokens[f"acorn-token-{self._minted}"] = self.clock.now() + dt.timedelta(seconds=LIFE_S)
        return _json(200, {"access_token": f"acorn-token-{self._minted}", "expires_in": LIFE_S})

    def _list(self, query: Mapping[str, list[str]]) -> TwinResponse:
        rows = sorted(self.customers.values(), key=lambda row: row["seq"])
        if wanted := query.get("id") or query.get("number"):
            if len(wanted) > 20:
                return _json(400, {"code": "too_many", "message": "20 at most"})
            field = "id" if "id" in query else "number"
            rows = [row for row in rows if row[field] in wanted and not row["deleted"]]
            return _json(200, {"customers": rows, "more": False})
        if "since" in query:
            rows = [row for row in rows if row["changed"] >= dt.datetime.fromisoformat(query["since"][0])]
        rows = [row for row in rows if row["seq"] > int(query.get("after", ["0"])[0])]
        limit = int(query["limit"][0])
        return _json(200, {"customers": rows[:limit], "more": len(rows) > limit})

    def _put(self, number: str, body: dict[str, Any]) -> TwinResponse:
        there = next((row for row in self.customers.values() if row["number"] == number and not row["deleted"]), None)
        if len(body.get("name") or "") > LONGEST:
            return _too_long()
        if there is not None:
            return _json(200, self.change(there["id"], **body))
        return _json(201, self.customers[self.insert(**{**body, "number": number})])

    def _patch(self, record_id: str, body: dict[str, Any], guard: str | None) -> TwinResponse:
        row = self.customers.get(record_id)
        if row is None or row["deleted"]:
            return _json(404, {"code": "gone", "message": "no such customer"})
        if guard is not None and guard != row["rev"]:
            return _json(412, row)
        return _too_long() if len(body.get("name") or "") > LONGEST else _json(200, self.change(record_id, **body))

    # what people, tests and the demo do

    def insert(self, number: str, **fields: Any) -> str:
        record_id = f"a{len(self.customers) + 1}"
        empty = {"name": "", "phone": None, "credit_limit": None, "currency": None, "active": True, "deleted": False}
        self.customers[record_id] = {"id": record_id, **empty}
        self.change(record_id, **{**fields, "number": number})
        return record_id

    def change(self, record_id: str, **fields: Any) -> dict[str, Any]:
        self._seq += 1
        row = self.customers[record_id]
        row |= {**fields, "seq": self._seq, "rev": f"r{self._seq}", "changed": self.clock.now()}
        return row

    def settings(self, base_url: str) -> dict[str, object]:
        return {"base_url": base_url, "client_id": "twin", "client_secret": "secret:twin/acorn_client_secret"}

    def secrets(self) -> dict[str, str]:
        return {"twin/acorn_client_secret": self.client_secret}

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        for n in range(1, accounts + 1):
            self.insert(f"C-{n:04d}", name=f"Oak & Söhne {n}", phone=f"+46 18 {Random(seed + n).randint(100000, 999999)}")

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        chosen = Random(seed).sample(sorted(self.customers), count)
        return [self.change(one, phone=f"+46 8 {seed}{n}")["number"] for n, one in enumerate(chosen)]

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        for row in self.customers.values():
            if not row["deleted"]:
                limit = row["credit_limit"]
                yield row["number"], {**row, "credit_limit": None if limit is None else Decimal(limit)}


def _too_long() -> TwinResponse:
    return _json(422, {"code": "too_long", "field": "name", "message": f"name takes {LONGEST} characters"})


def _json(status: int, body: object) -> TwinResponse:
    return TwinResponse(status, msgspec.json.encode(body), {"content-type": "application/json"})
