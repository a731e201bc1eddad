"""Records by id or by value, a hundred at a time: what sources, sinks and companions ask for through COQL."""

from collections.abc import Iterable, Sequence

from ml_connector_zoho_crm import coql
from ml_connector_zoho_crm.api import Api
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
