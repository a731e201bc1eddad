"""Is a set empty, or may the API user not see its rows? IFS answers both with 200 and an empty list."""

from typing import Any, Final, Literal

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.paging import Query
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import Site, decoder_of
from ml_connector_ifs_cloud.settings import Field

ADVICE: Final = (
    "Grant companies and sites to the service user (Company/Site access of its user profile);"
    " if the set really is empty, set expect_rows = false for this entity"
)


class Evidence(msgspec.Struct, frozen=True):
    """What an empty list means.

    rows      it is not empty
    filtered  rows are there, the configured scope leaves none
    empty     the user sees sites, so the set is empty
    missing   the user sees no sites, or not the configured ones, or not the known key
    unknown   nothing could be found out
    """

    verdict: Literal["rows", "filtered", "empty", "missing", "unknown"]
    what: str
    count: int | None = None  # rows in scope, where the server counts


async def evidence(reader: Reader[Any, Any]) -> Evidence:
    """Find out by a few single-row reads. Raises what reading raises."""
    api, place = reader.api, reader.place
    found = await api.place(place)
    some, count = await api.count(found, reader.in_scope(found))
    if some:
        return await _known_key(reader, found) or Evidence("rows", f"{found.name} holds rows", count)
    if (await api.count(found))[0]:
        return Evidence("filtered", f"{found.name} holds rows, but none within companies, sites, categories and filter")
    hidden = await _known_key(reader, found)
    return hidden or await _sites(api, found)


async def vouch(reader: Reader[Any, Any]) -> None:
    """Let an empty sweep pass only if it is not for want of rights. Raises ContractBroken."""
    if not reader.place.expect_rows:
        return
    told = await evidence(reader)
    if told.verdict in ("missing", "unknown"):
        raise ContractBroken(
            f"no {reader.kind} at all came back: {told.what}",
            fix=ADVICE,
            where=reader.api.where,
        )


async def _known_key(reader: Reader[Any, Any], found: EntitySet) -> Evidence | None:
    """The record that is known to exist is not seen: None when it is seen, or when none is configured."""
    number = reader.place.known_key
    if number is None:
        return None
    query = msgspec.structs.replace(await reader.headers(), filter="")
    if await reader.api.by_keys(query, reader.place.key, [number]):
        return None
    return Evidence("missing", f"{reader.place.key.name} {number} exists (known_key), but the API user does not see it")


async def _sites(api: Api, found: EntitySet) -> Evidence:
    """What the user may see is a matter of sites and companies: none seen, nothing seen."""
    settings = api.settings
    if settings.rights_probe is None:
        return Evidence("unknown", f"{found.name} is empty, and rights_probe is switched off")
    projection, _, name = settings.rights_probe.partition(".svc/")
    probe = EntitySet(api.service("main", projection), name)
    query = Query(path=probe.path, decoder=decoder_of(Site), order=(Field(name="Contract"),))
    try:
        sites = await api.all(query)
    except ContractBroken as error:
        return Evidence("unknown", f"{found.name} is empty, and {settings.rights_probe} could not be read ({error.what})")
    if not sites:
        return Evidence("missing", f"{found.name} is empty, and the API user sees no site of any company")
    unseen = [site for site in settings.sites if all(site != row.Contract for row in sites)]
    unseen += [company for company in settings.companies if all(company != row.Company for row in sites)]
    if unseen:
        return Evidence("missing", f"{found.name} is empty, and the API user does not see {', '.join(unseen)}")
    return Evidence("empty", f"{found.name} is empty; the API user sees {len(sites)} sites")
