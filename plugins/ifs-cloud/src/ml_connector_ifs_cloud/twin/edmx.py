"""A projection described to its clients: ``$metadata`` as EDMX 4.0 and the service document."""

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import msgspec

from ml_connector_ifs_cloud.twin.schema import Action, EntityType, Model, Projection

_LENGTHS = {"luname": 80, "keyref": 4000, "Objgrants": 2000}


def service_document(projection: Projection) -> bytes:
    entries = [{"name": name, "kind": "EntitySet", "url": name} for name in projection.sets]
    return msgspec.json.encode({"@odata.context": "$metadata", "value": entries})


def metadata(model: Model, projection: Projection) -> bytes:
    """The schema of one projection: the types that its sets reach, their enums, and the actions on them."""
    types = list(_reachable(model, projection))
    used = {each.type for entity in types for each in entity.properties.values() if each.is_enum}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0"><edmx:DataServices>',
        f'<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="{projection.namespace}"'
        f' Alias="{projection.namespace}">',
        *(line for name in sorted(used) for line in _enum(name, model.enums[name])),
        *(line for entity in types for line in _entity(entity, projection)),
        *(line for entity in types for action in model.bound_actions(entity.name) for line in _action(action, projection)),
        *(line for name in projection.actions if name in model.actions for line in _action(model.actions[name], projection)),
        '<EntityContainer Name="Container">',
        *(f'<EntitySet Name="{name}" EntityType="{projection.namespace}.{kind}"/>' for name, kind in projection.sets.items()),
        *(
            f'<ActionImport Name="{name}" Action="{projection.namespace}.{name}"/>'
            for name in projection.actions
            if name in model.actions
        ),
        "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>",
    ]
    return "\n".join(lines).encode()


def _reachable(model: Model, projection: Projection) -> Iterator[EntityType]:
    waiting, seen = list(projection.sets.values()), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name not in seen:
            seen.add(name)
            yield model.types[name]
            waiting += [navigation.target for navigation in model.types[name].navigations.values()]


def _enum(name: str, members: tuple[str, ...]) -> Iterator[str]:
    yield f'<EnumType Name="{name}">'
    yield from (f'<Member Name="{member}" Value="{i}"/>' for i, member in enumerate(members))
    yield "</EnumType>"


def _entity(entity: EntityType, projection: Projection) -> Iterator[str]:
    yield f'<EntityType Name="{entity.name}"><Key>'
    yield from (f'<PropertyRef Name="{name}"/>' for name in entity.keys)
    yield "</Key>"
    yield from (f'<Property Name="{name}" Type="Edm.String" MaxLength="{length}"/>' for name, length in _LENGTHS.items())
    for each in entity.properties.values():
        facets = ' Nullable="false"' if each.name in entity.keys or each.name in entity.required else ""
        if each.max_length:
            facets += f' MaxLength="{each.max_length}"'
        facets += {"Edm.Decimal": ' Precision="130" Scale="65"', "Edm.DateTimeOffset": ' Precision="0"'}.get(each.type, "")
        yield f"<Property Name={quoteattr(each.name)} Type={quoteattr(_named(each.type, projection))}{facets}/>"
    for name, navigation in entity.navigations.items():
        yield f'<NavigationProperty Name="{name}" Type="Collection({projection.namespace}.{navigation.target})"/>'
    yield "</EntityType>"


def _action(action: Action, projection: Projection) -> Iterator[str]:
    yield f'<Action Name="{action.name}"' + (' IsBound="true">' if action.entity else ">")
    if action.entity:
        yield f'<Parameter Name="{action.entity}" Type="{projection.namespace}.{action.entity}"/>'
    for name, kind in action.parameters.items():
        yield f'<Parameter Name="{name}" Type="{_named(kind, projection)}"/>'
    if action.result:
        yield f'<ReturnType Type="{_named(action.result, projection)}"/>'
    yield "</Action>"


def _named(kind: str, projection: Projection) -> str:
    return kind if kind.startswith("Edm.") else f"{projection.namespace}.{kind}"
