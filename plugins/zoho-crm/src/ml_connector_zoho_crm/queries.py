"""Records by id or by value, a hundred at a time: what sources, sinks and companions ask for through COQL."""

import asyncio
from collections.abc import Iterable, Sequence

from ml_connector_zoho_crm import coql
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.lines import LinePlan
from ml_connector_zoho_crm.plan import Plan, literal
from ml_connector_zoho_crm.wire import Vendor

_PAGE = 200


async def matching(api: Api, plan: Plan, field: str, values: Iterable[str], select: Sequence[str]) -> list[Vendor]:
    """Every record whose ``field`` has one of the values; by id, so that any number of namesakes comes complete."""
    literals = [text for value in dict.fromkeys(values) if (text := literal(plan, field, value)) is not None]
    found: list[Vendor] = []
    for start in range(0, len(literals), coql.IN_LIST):
        wanted = coql.one_of(field, literals[start : start + coql.IN_LIST])
        where, more = wanted, True
        while more:
            query = coql.select(tuple(dict.fromkeys((*select, "id", field))), plan.module, where, order=("id",), limit=_PAGE)
            rows = await api.coql(query, _PAGE)
            found += rows.data
            more = rows.info.more_records and bool(rows.data)
            if more:
                where = coql.both(wanted, coql.compare("id", ">", str(rows.data[-1]["id"])))
    return found


async def any_with(api: Api, plan: Plan, field: str) -> bool:
    """Whether any record has a value in ``field``."""
    rows = await api.coql(coql.select(("id",), plan.module, coql.compare(field, "is", "not null"), limit=1), 1)
    return bool(rows.data)


async def ids_by_key(api: Api, plan: Plan, values: Sequence[str], *, api_name: str | None = None) -> dict[str, str]:
    """Value → id of the oldest record that has it, without regard to case; values that no record has are absent."""
    field = api_name or plan.key
    rows = await matching(api, plan, field, [value.strip() for value in values], ("id",))
    by_value: dict[str, str] = {}
    for row in rows:
        by_value.setdefault(str(row[field]).strip().casefold(), str(row["id"]))
    return {value: by_value[name] for value in values if (name := value.strip().casefold()) in by_value}


async def rows_by_id(api: Api, plan: Plan, ids: Sequence[str], select: Sequence[str]) -> dict[str, Vendor]:
    """Id → record; what is not there is absent."""
    found: dict[str, Vendor] = {}
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), coql.IN_LIST):
        where = coql.one_of("id", map(coql.text, wanted[start : start + coql.IN_LIST]))
        rows = await api.coql(coql.select(select, plan.module, where, limit=coql.IN_LIST), coql.IN_LIST)
        found |= {str(row["id"]): row for row in rows.data}
    return found


async def with_lines(api: Api, lines: LinePlan, rows: Sequence[Vendor], page: int) -> list[Vendor]:
    """The records with their subform rows, which lists and queries of the parent leave out.

    The rows of many parents come in one query of the subform's own module (v8, "Subforms"), ``page`` rows at a time.
    """
    ids = [str(row["id"]) for row in rows]
    chunks = [ids[start : start + coql.IN_LIST] for start in range(0, len(ids), coql.IN_LIST)]
    found: dict[str, list[Vendor]] = {}
    for part in await asyncio.gather(*(_lines_of(api, lines, chunk, page) for chunk in chunks)):
        for line in part:
            parent = line["Parent_Id"]
            found.setdefault(str(parent["id"] if isinstance(parent, dict) else parent), []).append(line)
    return [{**row, lines.subform: found.get(str(row["id"]), [])} for row in rows]


async def _lines_of(api: Api, lines: LinePlan, parents: Sequence[str], page: int) -> list[Vendor]:
    wanted = coql.one_of("Parent_Id", map(coql.text, parents))
    where, found, more = wanted, list[Vendor](), True
    while more:
        rows = await api.coql(coql.select(lines.select, lines.subform, where, order=("id",), limit=page), page)
        found += rows.data
        more = rows.info.more_records and bool(rows.data)
        if more:
            where = coql.both(wanted, coql.compare("id", ">", str(rows.data[-1]["id"])))
    return found
