"""What the pod makes of organizations and people: rules, derived attributes, references, addresses.

Oracle, Sales REST: "Accounts", "Contacts". Two parties may have one name; a pair of source system and reference belongs to one.
"""

import re
from typing import Any, Final

from ml_connector_oracle_fusion.twin.answers import Row, bad, missing
from ml_connector_oracle_fusion.twin.schema import ACCOUNTS, CONTACTS, Resource
from ml_connector_oracle_fusion.twin.store import Store

ADDRESS: Final = (
    "AddressLine1",
    "AddressLine2",
    "AddressLine3",
    "AddressLine4",
    "City",
    "County",
    "State",
    "Province",
    "PostalCode",
)
TYPES: Final = ("ZCA_CUSTOMER", "ZCA_PROSPECT")
PHONES: Final = {
    "RawPhoneNumber": ("PhoneCountryCode", "PhoneAreaCode", "PhoneNumber"),
    "RawFaxNumber": ("FaxCountryCode", "FaxAreaCode", "FaxNumber"),
    "RawWorkPhoneNumber": ("WorkPhoneCountryCode", "WorkPhoneNumber"),
    "RawMobileNumber": ("MobileCountryCode", "MobileNumber"),
}
_PAIR: Final = ("SourceSystem", "SourceSystemReferenceValue")


class Parties:
    """Accounts and contacts over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.registered = {"ZOHO_CRM", "CRM", "CSV"}

    # finding

    def row(self, resource: Resource, number: str) -> Row:
        """Raises Refused (404)."""
        for row in self.store.rows(resource.name).values():
            if row["PartyNumber"] == number:
                return row
        raise missing()

    def by_pair(self, system: object, value: object) -> Row | None:
        for reference in self.store.rows("references").values():
            if (reference["SourceSystem"], reference["SourceSystemReferenceValue"]) == (system, value) and reference[
                "Status"
            ] == "A":
                return reference
        return None

    def references(self, party: int) -> list[Row]:
        return [row for row in self.store.rows("references").values() if row["PartyId"] == party]

    # writing

    def create(self, resource: Resource, body: Row, who: str, *, upsert: bool) -> tuple[Row, bool]:
        """The row, and whether it is new. Raises Refused."""
        pair = (body.get("SourceSystem"), body.get("SourceSystemReferenceValue"))
        if any(pair) and not all(pair):
            raise bad("SourceSystem and SourceSystemReferenceValue go together.", "JBO-27014", "/SourceSystemReferenceValue")
        if pair[0] is not None and pair[0] not in self.registered:
            raise bad(f"The source system {pair[0]} is not registered.", "HZ-120559", "/SourceSystem")
        holder = self.by_pair(*pair) if pair[0] is not None else None
        if upsert:
            known = self.store.rows(resource.name).get(holder["PartyId"]) if holder is not None else None
            if known is None and body.get("PartyNumber"):
                known = next(
                    (r for r in self.store.rows(resource.name).values() if r["PartyNumber"] == body["PartyNumber"]), None
                )
            if known is not None:
                return self.change(resource, known, body, who), False
        if holder is not None:
            raise bad("A record with the value SourceSystemReferenceValue already exists.", "FND_CMN_RCRD_VAL", f"/{_PAIR[1]}")
        self._check(resource, body, None)
        party = self.store.next_id()
        number = body.get("PartyNumber") or f"CDRM_{self.store.next_number()}"
        row: Row = dict.fromkeys(
            name for name in resource.attributes if name not in ("SourceSystem", "SourceSystemReferenceValue")
        )
        row |= {"PartyId": party, "PartyNumber": number, "PartyStatus": "A", "CreatedByModule": "HZ_WS"}
        if resource.name == ACCOUNTS.name:
            row |= {"Type": "ZCA_CUSTOMER", "DeleteFlag": True, "UpdateFlag": True, "UniqueNameSuffix": number}
        row |= {name: value for name, value in body.items() if name not in _PAIR}
        del row["CreatedBy"], row["CreationDate"], row["LastUpdatedBy"], row["LastUpdateDate"]
        self._derive(resource, row, body)
        stored = self.store.insert(resource.name, party, row, who)
        if pair[0] is not None:
            self.attach(stored, *pair, who)
        self._primary(resource, stored, body, who)
        return stored, True

    def change(self, resource: Resource, row: Row, body: Row, who: str) -> Row:
        """Raises Refused."""
        if row["PartyStatus"] == "I" and set(body) - {"PartyStatus"}:
            raise bad("You can't update an inactive record.", "HZ-120041")
        self._check(resource, body, row)
        values = {name: value for name, value in body.items() if name not in _PAIR}
        pair = (body.get("SourceSystem"), body.get("SourceSystemReferenceValue"))
        if pair[0] is not None and pair[1] is not None:
            holder = self.by_pair(*pair)
            if holder is None:
                if pair[0] not in self.registered:
                    raise bad(f"The source system {pair[0]} is not registered.", "HZ-120559", "/SourceSystem")
                self.attach(row, *pair, who)
            elif holder["PartyId"] != row["PartyId"]:
                raise bad(
                    "A record with the value SourceSystemReferenceValue already exists.", "FND_CMN_RCRD_VAL", f"/{_PAIR[1]}"
                )
        merged = {**row, **values}
        self._derive(resource, merged, values)
        changed = {name: value for name, value in merged.items() if row.get(name) != value}
        stored = self.store.change(resource.name, row["PartyId"], changed, who)
        self._primary(resource, stored, body, who)
        return stored

    def attach(self, row: Row, system: Any, value: Any, who: str) -> Row:
        """Another reference of the party. Raises Refused."""
        if system not in self.registered:
            raise bad(f"The source system {system} is not registered.", "HZ-120559", "/SourceSystem")
        if self.by_pair(system, value) is not None:
            raise bad("A record with the value SourceSystemReferenceValue already exists.", "FND_CMN_RCRD_VAL", f"/{_PAIR[1]}")
        key = self.store.next_id()
        told = {"SourceSystemReferenceId": key, "PartyId": row["PartyId"], "PartyNumber": row["PartyNumber"], "Status": "A"}
        return self.store.insert("references", key, {**told, "SourceSystem": system, "SourceSystemReferenceValue": value}, who)

    # rules

    def _check(self, resource: Resource, body: Row, row: Row | None) -> None:
        for name in resource.required:
            if (row is None and not body.get(name)) or (name in body and not body[name]):
                raise bad(f"You must enter a value for {name}.", "JBO-27014", f"/{name}")
        if body.get("Type") is not None and body["Type"] not in TYPES:
            raise bad(f"The value {body['Type']} for Type is not valid.", "JBO-27024", "/Type")
        if body.get("PartyStatus") is not None and body["PartyStatus"] not in ("A", "I"):
            raise bad("The value for PartyStatus is not valid.", "JBO-27024", "/PartyStatus")
        merged = {**(row or {}), **body}
        if any(merged.get(name) for name in ADDRESS) and not merged.get("Country"):
            raise bad("You must enter a value for Country.", "JBO-27014", "/Country")
        country = merged.get("Country")
        if country and not re.fullmatch("[A-Z]{2}", country):
            raise bad(f"The territory {country} is not valid.", "JBO-27024", "/Country")
        email = body.get("EmailAddress")
        if email and "@" not in email:
            raise bad("The value of attribute EmailAddress isn't valid.", "JBO-27024", "/EmailAddress")
        for name, resource_ in (("ParentAccountPartyId", ACCOUNTS), ("AccountPartyId", ACCOUNTS)):
            if body.get(name) is not None and body[name] not in self.store.rows(resource_.name):
                raise bad(f"The value for {name} is not valid.", "JBO-27024", f"/{name}")

    def _derive(self, resource: Resource, row: Row, told: Row) -> None:
        for raw, parts in PHONES.items():
            if raw in told and not told[raw]:
                row |= dict.fromkeys((raw, *parts))
            elif told.get(raw):
                row[parts[-1]] = re.sub(r"[^0-9A-Za-z]", "", str(told[raw]))[-20:]
        if resource.name == ACCOUNTS.name:
            row["FormattedPhoneNumber"] = row.get("RawPhoneNumber") or row.get("PhoneNumber")
            row["PartyUniqueName"] = f"{row['OrganizationName']} ({row['UniqueNameSuffix']})"
            if row.get("Country") and not row.get("PrimaryAddressId"):
                row["PrimaryAddressId"], row["AddressNumber"] = self.store.next_id(), f"CDRM_A{self.store.next_number()}"
        elif resource.name == CONTACTS.name:
            row["FormattedWorkPhoneNumber"] = row.get("RawWorkPhoneNumber") or row.get("WorkPhoneNumber")
            row["ContactName"] = " ".join(filter(None, [row.get("FirstName"), row.get("LastName")]))
            account = self.store.rows("accounts").get(row.get("AccountPartyId") or 0)
            row["AccountPartyNumber"] = account["PartyNumber"] if account else None
            row["AccountName"] = account["OrganizationName"] if account else None

    def _primary(self, resource: Resource, row: Row, body: Row, who: str) -> None:
        """A contact that is said to be the primary one becomes its account's."""
        if resource.name == CONTACTS.name and body.get("ContactIsPrimaryForAccount") == "Y" and row.get("AccountPartyId"):
            told = {"PrimaryContactPartyId": row["PartyId"], "PrimaryContactPartyNumber": row["PartyNumber"]}
            self.store.change("accounts", row["AccountPartyId"], told, who)
