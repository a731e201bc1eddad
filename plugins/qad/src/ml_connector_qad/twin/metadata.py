"""What the instance says of its own components (assumed shape)."""

from ml_connector.twin import TwinResponse
from ml_connector_qad.twin.answers import errors, json
from ml_connector_qad.twin.store import Store

_TYPES = {"text": "character", "number": "decimal", "flag": "logical", "date": "date"}


def metadata(store: Store, uri: str) -> TwinResponse:
    component = next((one for one in store.components.values() if one.view_uri == uri), None)
    if component is None:
        raise errors(404, f"Unknown entity {uri}")
    fields = [
        {
            "fieldCode": name[0].upper() + name[1:],
            "dataType": _TYPES[field.type],
            "maxLength": field.length if field.type == "text" else None,
            "isMandatory": field.mandatory or name in component.keys,
            "isReadOnly": name.startswith("lastModified"),
            "isKey": name in component.keys,
        }
        for name, field in component.fields.items()
    ]
    return json(200, {"data": {"entityMetadatas": [{"entityURI": uri, "fieldMetadatas": fields}]}})
