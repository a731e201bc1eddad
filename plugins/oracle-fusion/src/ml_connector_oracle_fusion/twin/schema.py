"""What the pod's resources are made of: attributes with types and lengths, what may be asked for, finders and children.

Oracle's REST references for Sales and Financials; attributes that nothing here uses are left out. Lengths as published
connectors found them in the operation schemas.
"""

from typing import Final, Literal, TypeAlias

import msgspec

Type: TypeAlias = Literal["integer", "number", "string", "boolean", "stamp", "date"]

CRM: Final = "/crmRestApi/resources/"
FSCM: Final = "/fscmRestApi/resources/"
STAMPS: Final[dict[str, Type]] = {
    "CreationDate": "stamp",
    "LastUpdateDate": "stamp",
    "CreatedBy": "string",
    "LastUpdatedBy": "string",
}


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """``key`` names a row in URLs; ``opaque`` keys are a hash that only the row itself tells."""

    name: str
    root: str
    key: str
    id: str
    attributes: dict[str, Type]
    queryable: frozenset[str] = frozenset()
    writable: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    lengths: dict[str, int] = {}
    finders: dict[str, tuple[str, ...]] = {}
    kids: dict[str, "Resource"] = {}
    opaque: bool = False
    tracked: bool = True  # has ETags


def _strings(names: str) -> dict[str, Type]:
    return dict.fromkeys(names.split(), "string")


_ADDRESS: Final = "AddressLine1 AddressLine2 AddressLine3 AddressLine4 City County State Province PostalCode Country"
_ADDRESS_LENGTHS: Final = {
    **{f"AddressLine{n}": 240 for n in (1, 2, 3, 4)},
    "City": 60,
    "State": 60,
    "Province": 60,
    "County": 60,
    "PostalCode": 60,
    "Country": 2,
}
_PARTY: Final[dict[str, Type]] = {
    "PartyId": "integer",
    **_strings("PartyNumber PartyStatus SourceSystem SourceSystemReferenceValue EmailAddress"),
    **STAMPS,
}
_ACCOUNT: Final[dict[str, Type]] = {
    **_PARTY,
    **_strings(
        "OrganizationName Type Description URL TaxpayerIdentificationNumber PartyUniqueName UniqueNameSuffix RawPhoneNumber "
        "PhoneCountryCode PhoneAreaCode PhoneNumber PhoneExtension FormattedPhoneNumber RawFaxNumber FaxCountryCode "
        "FaxAreaCode FaxNumber IndustryCode CurrencyCode AddressNumber CreatedByModule PrimaryContactPartyNumber "
        "SalesProfileStatus " + _ADDRESS
    ),
    "EmployeesTotal": "number",
    "ParentAccountPartyId": "integer",
    "PrimaryContactPartyId": "integer",
    "PrimaryAddressId": "integer",
    "OwnerPartyId": "integer",
    "DeleteFlag": "boolean",
    "UpdateFlag": "boolean",
}
_READ_ONLY: Final = frozenset(
    {
        *STAMPS,
        "PartyId",
        "PartyUniqueName",
        "FormattedPhoneNumber",
        "AddressNumber",
        "PrimaryAddressId",
        "DeleteFlag",
        "UpdateFlag",
    }
)
_REFERENCE: Final = Resource(
    name="SourceSystemReference",
    root=CRM,
    key="SourceSystemReferenceId",
    id="SourceSystemReferenceId",
    attributes={
        "SourceSystemReferenceId": "integer",
        "PartyId": "integer",
        **_strings("PartyNumber SourceSystem SourceSystemReferenceValue Status"),
        **STAMPS,
    },
    writable=frozenset({"SourceSystem", "SourceSystemReferenceValue"}),
    required=("SourceSystem", "SourceSystemReferenceValue"),
)
_PRIMARY: Final = Resource(
    name="PrimaryAddress",
    root=CRM,
    key="AddressNumber",
    id="AddressId",
    attributes={"AddressId": "integer", "AddressNumber": "string", **_strings(_ADDRESS), **STAMPS},
    writable=frozenset(_ADDRESS.split()),
    required=("Country",),
    lengths=_ADDRESS_LENGTHS,
)
_PARTY_FINDERS: Final = {
    "PartyNumberAltKey": ("PartyNumber",),
    "PartyIdAltKey": ("PartyId",),
    "SourceSystemReferenceAltKey": ("SourceSystem", "SourceSystemReferenceValue"),
}
ACCOUNTS: Final = Resource(
    name="accounts",
    root=CRM,
    key="PartyNumber",
    id="PartyId",
    attributes=_ACCOUNT,
    queryable=frozenset(_ACCOUNT) - {"DeleteFlag", "UpdateFlag", "FormattedPhoneNumber"},
    writable=frozenset(_ACCOUNT) - _READ_ONLY,
    required=("OrganizationName",),
    lengths={
        "OrganizationName": 360,
        "Type": 30,
        "Description": 2000,
        "EmailAddress": 320,
        "URL": 2000,
        "PhoneNumber": 40,
        "PhoneCountryCode": 10,
        "PhoneAreaCode": 20,
        **_ADDRESS_LENGTHS,
    },
    finders={"AccountPartyNumberRF": ("PartyNumber",), **_PARTY_FINDERS},
    kids={"PrimaryAddress": _PRIMARY, "SourceSystemReference": _REFERENCE},
)
_CONTACT: Final[dict[str, Type]] = {
    **_PARTY,
    **_strings(
        "FirstName LastName ContactName JobTitle Department RawWorkPhoneNumber WorkPhoneCountryCode WorkPhoneNumber "
        "FormattedWorkPhoneNumber RawMobileNumber MobileCountryCode MobileNumber AccountPartyNumber AccountName "
        "ContactIsPrimaryForAccount " + _ADDRESS
    ),
    "AccountPartyId": "integer",
    "OwnerPartyId": "integer",
    "DoNotCallFlag": "boolean",
    "DoNotEmailFlag": "boolean",
}
CONTACTS: Final = Resource(
    name="contacts",
    root=CRM,
    key="PartyNumber",
    id="PartyId",
    attributes=_CONTACT,
    queryable=frozenset(_CONTACT) - {"FormattedWorkPhoneNumber", "ContactIsPrimaryForAccount"},
    writable=frozenset(_CONTACT) - _READ_ONLY - {"ContactName", "AccountName", "FormattedWorkPhoneNumber"},
    required=("LastName",),
    lengths={"FirstName": 150, "LastName": 150, "EmailAddress": 320, "JobTitle": 100, "Department": 60, **_ADDRESS_LENGTHS},
    finders=_PARTY_FINDERS,
)
_HUB: Final[dict[str, Type]] = {
    "SourceSystemReferenceId": "integer",
    "OwnerEntityId": "integer",
    **_strings("SourceSystem SourceSystemReferenceValue OwnerEntityObject Status"),
    **STAMPS,
}
HUB_REFERENCES: Final = Resource(
    name="hubSourceSystemReferences",
    root=CRM,
    key="SourceSystemReferenceId",
    id="SourceSystemReferenceId",
    attributes=_HUB,
    queryable=frozenset(_HUB),
    finders={"SSRByOsOsrOwnerEntityObject": ("SourceSystem", "SourceSystemReferenceValue", "OwnerEntityObject")},
)
_DELETED: Final[dict[str, Type]] = {
    "DeletedRecordId": "integer",
    **_strings("DisplayName ObjectCode KeyAttributeNames KeyAttributeValues PuidAttributeName PuidAttributeValue"),
    **STAMPS,
}
DELETED: Final = Resource(
    name="deletedRecords",
    root=CRM,
    key="DeletedRecordId",
    id="DeletedRecordId",
    attributes=_DELETED,
    queryable=frozenset({*STAMPS, "ObjectCode"}),
    tracked=False,
)
