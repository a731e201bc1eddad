"""$metadata: what one projection really has, for this user, in this release. Read once per process."""

from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Final
from xml.parsers import expat

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector_ifs_cloud.api import Api, Service


class EntityType(msgspec.Struct):
    """One entity type: property → type, navigation → type, and the key's properties."""

    name: str
    base: str | None = None
    key: list[str] = []
    properties: dict[str, str] = {}
    navigations: dict[str, str] = {}


class Operation(msgspec.Struct):
    """One action: the entity type it is bound to ("" for one of the service) and its own parameters."""

    name: str
    bound_to: str = ""
    parameters: list[str] = []


class Metadata(msgspec.Struct):
    """One projection's schema. Type names are unqualified where they are the projection's own."""

    types: dict[str, EntityType] = {}
    sets: dict[str, str] = {}  # entity set → type
    enums: dict[str, list[str]] = {}
    actions: dict[str, Operation] = {}

    def type_of(self, entity_set: str) -> EntityType | None:
        name = self.sets.get(entity_set)
        return self.types.get(name) if name is not None else None


class MetadataReader:
    """Fetches and keeps schemas: a real one is megabytes and takes the server its time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[str, tuple[str | None, bytes, Metadata]] = {}

    async def read(self, service: Service) -> Metadata:
        """The schema, fetched anew only if the server says or shows that it changed. Raises NotServed, ContractBroken."""
        path = f"{service.path}/$metadata"
        etag, digest, schema = self._kept.get(path, (None, b"", Metadata()))
        answer = await self._api.get(path, etag=etag, accept="application/xml")
        if answer.status == 304:
            return schema
        found = blake2b(answer.body).digest()
        if found != digest:
            schema = parsed(answer.body, answer.url)
        self._kept[path] = (answer.headers.get("etag"), found, schema)
        return schema


def nearest(name: str, names: Any) -> str:
    """`` (the nearest is Name)``, or nothing where none is near."""
    by_lower = {str(known).lower(): str(known) for known in names}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (the nearest is {by_lower[close[0]]})" if close else ""


def parsed(body: bytes, where: str) -> Metadata:
    """The schema in an EDMX document, read in one pass. Raises ContractBroken for anything else."""
    building = _Building()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = building.start
    parser.EndElementHandler = building.end
    parser.StartDoctypeDeclHandler = building.refuse  # no entity of a stranger's is expanded
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ContractBroken(f"$metadata cannot be read ({error})", fix="Open the address in a browser", where=where) from None
    return building.done()


_EDMX: Final = "http://docs.oasis-open.org/odata/ns/edmx Edmx"


class _Building:
    """The schema as its elements come by."""

    def __init__(self) -> None:
        self._schema = Metadata()
        self._type: EntityType | None = None
        self._enum: list[str] | None = None
        self._action: Operation | None = None
        self._bound = False
        self._prefixes: list[str] = []
        self._in_key = self._rooted = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._rooted:
            if tag != _EDMX:
                raise ContractBroken("$metadata is no EDMX document of OData 4", fix="Check gateways")
            self._rooted = True
        name = attributes.get("Name", "")
        match tag.rpartition(" ")[2]:
            case "Schema":
                spaces = (attributes.get("Namespace"), attributes.get("Alias"))
                self._prefixes += [f"{space}." for space in spaces if space]
            case "EntityType" | "ComplexType":
                self._type = self._schema.types[name] = EntityType(name, self._own(attributes.get("BaseType")))
            case "Key":
                self._in_key = True
            case "PropertyRef" if self._in_key and self._type is not None:
                self._type.key.append(name)
            case "Property" if self._type is not None:
                self._type.properties[name] = self._own(attributes.get("Type", "")) or ""
            case "NavigationProperty" if self._type is not None:
                self._type.navigations[name] = self._own(attributes.get("Type", "")) or ""
            case "EnumType":
                self._enum = self._schema.enums[name] = []
            case "Member" if self._enum is not None:
                self._enum.append(name)
            case "Action":
                self._action = self._schema.actions[name] = Operation(name)
                self._bound = attributes.get("IsBound") == "true"
            case "Parameter" if self._action is not None:
                if self._bound:  # the first one is what it is bound to
                    self._action.bound_to, self._bound = self._own(attributes.get("Type", "")) or "", False
                else:
                    self._action.parameters.append(name)
            case "EntitySet":
                self._schema.sets[name] = self._own(attributes.get("EntityType", "")) or ""

    def end(self, tag: str) -> None:
        match tag.rpartition(" ")[2]:
            case "Key":
                self._in_key = False
            case "EntityType" | "ComplexType":
                self._type = None
            case "EnumType":
                self._enum = None
            case "Action":
                self._action = None

    def refuse(self, *_: Any) -> None:
        raise ContractBroken("$metadata carries a document type, which OData's never does", fix="Check base_url")

    def done(self) -> Metadata:
        """With what types inherit from one another filled in."""
        for kind in self._schema.types.values():
            base = self._schema.types.get(kind.base or "")
            while base is not None:
                kind.key = kind.key or base.key
                kind.properties = base.properties | kind.properties
                kind.navigations = base.navigations | kind.navigations
                base = self._schema.types.get(base.base or "") if base.base != kind.name else None
        return self._schema

    def _own(self, name: str | None) -> str | None:
        """``Collection(IfsApp.P.Line)`` → ``Line``; foreign and Edm types keep their namespace."""
        if name is None:
            return None
        bare = name.removeprefix("Collection(").removesuffix(")")
        for prefix in self._prefixes:
            if bare.startswith(prefix):
                return bare.removeprefix(prefix)
        return bare
