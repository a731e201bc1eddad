"""The JSON Schema of the configuration file, for editors that complete and check while one types."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ml_connector.ports.secrets import Secret
from ml_connector.system import SystemSpec
from ml_connector_adapters.config.file import NAME, WorkspaceTable
from ml_connector_adapters.config.flows import FlowTable
from ml_connector_adapters.config.sides import SHAPES

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SECRET: Final = {
    "type": "string",
    "pattern": "^(secret|env|file):.+",
    "description": "A reference to a secret: secret:NAME (the vault), env:NAME or file:PATH.",
}
_SPAN: Final = {"type": "string", "pattern": "^[0-9]{1,6}[smhd]$"}
_TABLE: Final = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_NUMBER: Final = {"type": ["number", "string"], "format": "decimal"}


def json_schema(systems: Mapping[str, SystemSpec]) -> dict[str, Any]:
    """The whole file's schema, with the settings of the given systems."""
    specs = [systems[name] for name in sorted(systems)]
    found, components = msgspec.json.schema_components(
        [WorkspaceTable, FlowTable, *(spec.settings for spec in specs)],
        schema_hook=_hook,
        ref_template="#/$defs/{name}",
    )
    workspace, flow, *settings = (_written(one) for one in found)
    definitions = {name: _written(one) for name, one in components.items()}
    definitions[FlowTable.__name__]["oneOf"] = SHAPES
    connection = {"oneOf": [_connection(spec, one, definitions) for spec, one in zip(specs, settings, strict=True)]}
    return {
        "$schema": _DIALECT,
        "title": "ml-connector configuration",
        "type": "object",
        "required": ["workspace", "connections"],
        "additionalProperties": False,
        "properties": {
            "workspace": workspace,
            "connections": _named(connection if specs else True, NAME),
            "flows": _named(flow, NAME),
            "tables": _named(_TABLE, ".+"),
        },
        "$defs": definitions,
    }


def _connection(spec: SystemSpec, settings: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A plugin's settings, with ``system`` beside them."""
    own = definitions[settings["$ref"].rpartition("/")[2]]
    return {
        "title": spec.title,
        "description": own.get("description", ""),
        "type": "object",
        "properties": {"system": {"const": spec.name}, **own["properties"]},
        "required": ["system", *own["required"]],
        "additionalProperties": False,
    }


def _named(each: Any, pattern: str) -> dict[str, Any]:
    return {"type": "object", "patternProperties": {f"^{pattern}$": each}, "additionalProperties": False}


def _hook(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return _SECRET
    return {}  # a plugin's own type: whatever its decoder takes


def _written(schema: Any) -> Any:
    """The schema of what people write: TOML has no null, spans of time are "15m", exact numbers are numbers."""
    if isinstance(schema, list):
        return [_written(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "duration":
        return _SPAN
    if schema.get("format") == "decimal":
        return _NUMBER
    written = {key: _written(value) for key, value in schema.items() if key != "default" or value is not None}
    options = [one for one in written.get("anyOf", ()) if one != {"type": "null"}]
    if "anyOf" in written and len(options) == 1:
        del written["anyOf"]
        return {**options[0], **written}
    return {**written, "anyOf": options} if options else written
