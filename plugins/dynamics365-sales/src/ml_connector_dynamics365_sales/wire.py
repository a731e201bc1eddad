"""Shapes of the Web API's JSON as far as this plugin looks. Ids stay text, decimals become Decimal."""

from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

Vendor: TypeAlias = dict[str, Any]
"""One record as Dataverse names it: property → JSON value, fractions as Decimal."""

ETAG: Final = "@odata.etag"
TARGET: Final = "@Microsoft.Dynamics.CRM.lookuplogicalname"


class Rows(msgspec.Struct):
    """One page of a collection or of its changes."""

    value: list[Vendor]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")


class WhoAmI(msgspec.Struct):
    UserId: str
    OrganizationId: str


class Option(msgspec.Struct):
    Value: int
    Label: Any = None
    State: int | None = None

    @property
    def label(self) -> str:
        """The label in the user's language, "" where there is none."""
        told = self.Label.get("UserLocalizedLabel") if isinstance(self.Label, dict) else None
        return str(told.get("Label") or "") if isinstance(told, dict) else ""


class Choices(msgspec.Struct):
    Options: list[Option] = []


class Behaviour(msgspec.Struct):
    Value: str = ""


class Attribute(msgspec.Struct):
    """A column. What only some types have is filled in from the lists of those types."""

    LogicalName: str
    AttributeType: str = ""
    AttributeOf: str | None = None
    IsCustomAttribute: bool = False
    IsValidForCreate: bool = True
    IsValidForUpdate: bool = True
    IsValidForRead: bool = True
    MaxLength: int | None = None
    DateTimeBehavior: Behaviour | None = None
    OptionSet: Choices | None = None


class Attributes(msgspec.Struct):
    value: list[Attribute]


class AlternateKey(msgspec.Struct):
    SchemaName: str
    KeyAttributes: list[str]
    EntityKeyIndexStatus: str = ""


class TablePrivilege(msgspec.Struct):
    """What a right on the table is called: "Order" may stand where the table is named salesorder."""

    Name: str
    PrivilegeType: str = ""


class Definition(msgspec.Struct):
    """A table's own metadata."""

    LogicalName: str
    EntitySetName: str
    PrimaryIdAttribute: str
    PrimaryNameAttribute: str | None = None
    ChangeTrackingEnabled: bool = False
    Privileges: list[TablePrivilege] = []
    Keys: list[AlternateKey] = []


class Privilege(msgspec.Struct):
    PrivilegeName: str = ""
    Depth: Any = ""


class Privileges(msgspec.Struct):
    RolePrivileges: list[Privilege] = []


class Owner(msgspec.Struct):
    Id: str = ""


class Context(msgspec.Struct):
    """What a webhook step posts, as far as it is needed: it may be stripped of everything else."""

    MessageName: str
    PrimaryEntityName: str
    PrimaryEntityId: str
    OperationId: str = ""
    CorrelationId: str = ""
    OwningExtension: Owner | None = None


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode(payload: object) -> bytes:
    """JSON with Decimal as number, digit for digit."""
    return _encoder.encode(payload)


class Decoders:
    """Built once; building one costs more than most answers."""

    rows: Final = msgspec.json.Decoder(Rows, float_hook=Decimal)
    row: Final = msgspec.json.Decoder(Vendor, float_hook=Decimal)
    who: Final = msgspec.json.Decoder(WhoAmI)
    definition: Final = msgspec.json.Decoder(Definition)
    attributes: Final = msgspec.json.Decoder(Attributes)
    privileges: Final = msgspec.json.Decoder(Privileges)
    context: Final = msgspec.json.Decoder(Context)
