"""Is a set empty, or may the API user not see its rows? IFS answers both with 200 and an empty list."""

from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.paging import Query
from ml_connector_ifs_cloud.places import Field
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import Site, decoder_of

ADVICE: Final = (
    "Grant companies and sites to the service user (Company/Site access of its user profile);"
    " if the set really is empty, set expect_rows = false for this entity"
)


class Evidence(msgspec.Struct, frozen=True):
    """What an empty list means.

    rows      it is not empty
    filtered  rows are there, the configured scope leaves none
    empty     the user sees sites, so the set is empty
    missing   the user sees no sites, or not the configured ones, or not the known key, or no row of any set
    unknown   the user sees rows of another set; more could not be found out
    """

    verdict: Literal["rows", "filtered", "empty", "missing", "unknown"]
    what: str
    count: int | None = None  # rows in scope, where the server counts


class Rights:
    """Finds out by a few single-row reads. Raises what reading raises."""

    def __init__(self, api: Api, readers: Collection[Reader[Any, Any]]) -> None:
        self._api, self._readers = api, readers

    async def vouch(self, reader: Reader[Any, Any]) -> None:
        """Let an empty sweep pass unless it is empty for want of rights. Raises ContractBroken."""
        if not reader.place.expect_rows:
            return
        told = await self.evidence(reader)
        if told.verdict == "missing":
            raise ContractBroken(f"no {reader.kind} at all came back: {told.what}", fix=ADVICE, where=self._api.where)

    async def evidence(self, reader: Reader[Any, Any]) -> Evidence:
        found = await self._api.place(reader.place)
        some, count = await self._api.count(found, reader.in_scope(found))
        if hidden := await self._known_key(reader):
            return hidden
        if some:
            return Evidence("rows", f"{found.name} holds rows", count)
        if (await self._api.count(found))[0]:
            return Evidence("filtered", f"{found.name} holds rows, but none within companies, sites, categories and filter")
        return await self._sites(reader, found)

    async def _known_key(self, reader: Reader[Any, Any]) -> Evidence | None:
        """The record that is known to exist is not seen; None when it is seen, or when none is configured."""
        number = reader.place.known_key
        if number is None:
            return None
        query = msgspec.structs.replace(await reader.headers(), filter="")
        if await self._api.by_keys(query, reader.place.key, [number]):
            return None
        return Evidence("missing", f"{reader.place.key.name} {number} exists (known_key), but the API user does not see it")

    async def _sites(self, reader: Reader[Any, Any], found: EntitySet) -> Evidence:
        """What a user may see is a matter of sites and companies: none seen, nothing seen."""
        settings = self._api.settings
        if settings.rights_probe is None:
            return await self._other_sets(reader, f"{found.name} is empty, and rights_probe is switched off")
        projection, _, name = settings.rights_probe.partition(".svc/")
        probe = EntitySet(self._api.service("main", projection), name)
        query = Query(path=probe.path, decoder=decoder_of(Site), order=(Field(name="Contract"),))
        try:
            sites = await self._api.all(query)
        except ContractBroken as error:
            told = f"{found.name} is empty, and {settings.rights_probe} could not be read ({error.what})"
            return await self._other_sets(reader, told)
        if not sites:
            return Evidence("missing", f"{found.name} is empty, and the API user sees no site of any company")
        unseen = [site for site in settings.sites if all(site != row.Contract for row in sites)]
        unseen += [company for company in settings.companies if all(company != row.Company for row in sites)]
        if unseen:
            return Evidence("missing", f"{found.name} is empty, and the API user does not see {', '.join(unseen)}")
        return Evidence("empty", f"{found.name} is empty; the API user sees {len(sites)} site{'s' * (len(sites) != 1)}")

    async def _other_sets(self, reader: Reader[Any, Any], told: str) -> Evidence:
        """Without sites to go by: a user who sees no row of any set has no rights, one who sees some may lack these."""
        for other in self._readers:
            if other is not reader:
                try:
                    some, _ = await self._api.count(await self._api.place(other.place))
                except ContractBroken:
                    continue
                if some:
                    return Evidence("unknown", f"{told}; rows of {other.kind} are seen")
        return Evidence("missing", f"{told}; the API user sees no row of any set")
