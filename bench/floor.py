"""The floor: the least code that moves the same orders with their lines between the same twins.

httpx and msgspec, as many calls open at once as the real program may have, pages read ahead, writes in hundreds. No state, no
audit, no look at what stands there, no retry: what is lost is lost.

python bench/floor.py ERP_URL CRM_URL
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

READS, WRITES, PAGE, BATCH = 4, 3, 500, 100
IFS = "/main/ifsapplications/projection/v1/CustomerOrderHandling.svc"
HEAD = "OrderNo,CustomerNo,CurrencyCode,CustomerPoNo,DateEntered,WantedDeliveryDate,TotalAmount,Objstate"
LINE = "OrderNo,LineNo,RelNo,LineItemNo,CatalogNo,CatalogDesc,BuyQtyDue,SalesUnitMeas,SaleUnitPrice,NetAmountCurr"
STAGES = {"Invoiced": "Closed Won", "Cancelled": "Closed Lost", "Planned": "Proposal/Price Quote"}


class Row(msgspec.Struct):
    OrderNo: str
    CustomerNo: str
    CurrencyCode: str
    TotalAmount: Decimal
    Objstate: str
    CustomerPoNo: str | None = None
    DateEntered: str | None = None
    WantedDeliveryDate: str | None = None


class Line(msgspec.Struct):
    OrderNo: str
    LineNo: str
    RelNo: str
    LineItemNo: Decimal
    CatalogNo: str | None = None
    CatalogDesc: str | None = None
    BuyQtyDue: Decimal | None = None
    SalesUnitMeas: str | None = None
    SaleUnitPrice: Decimal | None = None
    NetAmountCurr: Decimal | None = None


class Rows(msgspec.Struct):
    value: list[Row]


class Lines(msgspec.Struct):
    value: list[Line]


rows_in, lines_in = msgspec.json.Decoder(Rows), msgspec.json.Decoder(Lines)
out = msgspec.json.Encoder(decimal_format="number")


async def token(client: httpx.AsyncClient, url: str, form: dict[str, str]) -> str:
    return str((await client.post(url, data=form)).json()["access_token"])


class Erp:
    def __init__(self, client: httpx.AsyncClient, base: str) -> None:
        self._client, self._base, self._open = client, base, asyncio.Semaphore(READS)

    async def get(self, path: str) -> bytes:
        async with self._open:
            answer = await self._client.get(f"{self._base}{IFS}/{path}")
        return answer.content

    async def pages(self) -> AsyncIterator[list[Row]]:
        after = ""
        while True:
            condition = f"OrderNo gt '{after}'"
            where = f"&$filter={quote(condition, safe='')}" if after else ""
            rows = rows_in.decode(await self.get(f"CustomerOrderSet?$select={HEAD}{where}&$orderby=OrderNo&$top={PAGE}")).value
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = rows[-1].OrderNo

    async def lines(self, rows: list[Row]) -> dict[str, list[Line]]:
        where = quote(f"OrderNo ge '{rows[0].OrderNo}' and OrderNo le '{rows[-1].OrderNo}'", safe="")
        found: dict[str, list[Line]] = {}
        skip = 0
        while True:
            order = "OrderNo,LineNo,RelNo,LineItemNo"
            path = f"CustomerOrderLineSet?$select={LINE}&$filter={where}&$orderby={order}&$top={PAGE}&$skip={skip}"
            lines = lines_in.decode(await self.get(path)).value
            for line in lines:
                found.setdefault(line.OrderNo, []).append(line)
            if len(lines) < PAGE:
                return found
            skip += PAGE


def deal(row: Row, lines: list[Line], accounts: dict[str, str]) -> dict[str, Any]:
    return {
        "Deal_Name": row.OrderNo,
        "ERP_Order_No": row.OrderNo,
        "Amount": row.TotalAmount,
        "Currency": row.CurrencyCode,
        "Customer_Reference": row.CustomerPoNo,
        "Stage": STAGES.get(row.Objstate, "Negotiation/Review"),
        "Closing_Date": (row.WantedDeliveryDate or row.DateEntered or "")[:10],
        "Account_Name": {"id": accounts[row.CustomerNo]},
        "Order_Lines": [
            {
                "Line_Key": f"{line.LineNo}-{line.RelNo}-{line.LineItemNo}",
                "Item_No": line.CatalogNo,
                "Description": line.CatalogDesc,
                "Quantity": line.BuyQtyDue,
                "Unit": line.SalesUnitMeas,
                "Unit_Price": line.SaleUnitPrice,
                "Net_Amount": line.NetAmountCurr,
            }
            for line in lines
        ],
    }


async def accounts_of(client: httpx.AsyncClient, base: str) -> dict[str, str]:
    query = b'{"select_query":"select id, ERP_Customer_No from Accounts where (id is not null) limit 2000"}'
    answer = await client.post(f"{base}/crm/v8/coql", content=query)
    return {row["ERP_Customer_No"]: row["id"] for row in answer.json()["data"]}


async def main(erp_url: str, crm_url: str) -> None:
    async with httpx.AsyncClient(timeout=60) as left, httpx.AsyncClient(timeout=60) as right:
        form = {"grant_type": "client_credentials", "client_id": "ML_CONNECTOR", "client_secret": "ifs-twin-secret"}
        key = await token(left, f"{erp_url}/auth/realms/acmeprod/protocol/openid-connect/token", form | {"scope": "openid"})
        left.headers["Authorization"] = f"Bearer {key}"
        form = {"grant_type": "refresh_token", "client_id": "1000.TWIN", "client_secret": "zoho-twin-secret"}
        key = await token(right, f"{crm_url}/oauth/v2/token", form | {"refresh_token": "1000.refresh.twin"})
        right.headers["Authorization"] = f"Zoho-oauthtoken {key}"
        accounts = await accounts_of(right, crm_url)
        erp, writing = Erp(left, erp_url), asyncio.Semaphore(WRITES)
        pages: asyncio.Queue[tuple[list[Row], asyncio.Task[dict[str, list[Line]]]] | None] = asyncio.Queue(2)

        async def read() -> None:
            async for rows in erp.pages():
                await pages.put((rows, asyncio.create_task(erp.lines(rows))))
            await pages.put(None)

        async def write(batch: list[dict[str, Any]]) -> int:
            try:
                body = out.encode({"data": batch, "duplicate_check_fields": ["ERP_Order_No"], "trigger": []})
                answer = await right.post(f"{crm_url}/crm/v8/Deals/upsert", content=body)
                return sum(each["status"] == "success" for each in msgspec.json.decode(answer.content)["data"])
            finally:
                writing.release()

        reading, written = asyncio.create_task(read()), []
        while (page := await pages.get()) is not None:
            rows, lines = page[0], await page[1]
            deals = [deal(row, lines.get(row.OrderNo, []), accounts) for row in rows if row.CustomerNo in accounts]
            for start in range(0, len(deals), BATCH):
                await writing.acquire()
                written.append(asyncio.create_task(write(deals[start : start + BATCH])))
        await reading
        print(sum(await asyncio.gather(*written)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
