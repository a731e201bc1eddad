"""Modules and fields as the twin's org knows them, and how ``settings/fields`` tells of them."""

from collections.abc import Iterator
from typing import Any

import msgspec

TEXTS = frozenset({"text", "textarea", "email", "phone", "website", "picklist", "autonumber", "formula_text"})
NUMBERS = frozenset({"integer", "bigint", "double", "currency", "percent", "formula"})
PERSONS = frozenset({"ownerlookup", "userlookup"})
UNIQUE_TYPES = frozenset({"text", "email", "phone", "website", "integer", "bigint"})
"""What can be made unique: single line, e-mail, phone, URL, number and long integer (vendor forum, Kaizen #56)."""

_JSON_TYPES = {
    "integer": "integer",
    "bigint": "string",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "formula": "double",
    "boolean": "boolean",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "userlookup": "jsonobject",
    "multiselectpicklist": "jsonarray",
    "subform": "jsonarray",
    "linetax": "jsonarray",
    "tag": "jsonarray",
}
_LENGTHS = {
    "text": 255,
    "textarea": 32000,
    "email": 100,
    "phone": 30,
    "website": 450,
    "picklist": 120,
    "integer": 9,
    "bigint": 18,
    "double": 16,
    "currency": 16,
    "percent": 5,
    "date": 20,
    "datetime": 120,
}


class Field(msgspec.Struct, kw_only=True):
    """One field. ``computed`` means Zoho alone writes it; ``silent`` that a sent value is dropped without a word."""

    api_name: str
    data_type: str
    id: str
    label: str = ""
    length: int = 0
    decimal_place: int | None = None
    mandatory: bool = False  # system mandatory: every layout asks for it
    required: bool = False  # the default layout asks for it
    computed: bool = False
    silent: bool = False
    key: bool = False  # the system's own duplicate-check field
    unique: bool = False
    case_sensitive: bool = False
    external: str | None = None  # "org" or "user"
    custom: bool = False
    choices: list[str] = []
    target: str | None = None  # module name that a lookup or a subform leads to

    def __post_init__(self) -> None:
        self.label = self.label or self.api_name.replace("_", " ")
        self.length = self.length or _LENGTHS.get(self.data_type, 0)
        if self.decimal_place is None and self.data_type == "currency":
            self.decimal_place = 2

    @property
    def distinct(self) -> bool:
        """Whether two records may not share a value. External fields are unique by nature."""
        return self.unique or self.external is not None

    def told(self, target: str | None) -> dict[str, Any]:
        """The field as ``GET settings/fields`` tells it; ``target`` is the API name of the module it leads to."""
        writable = not self.computed
        return {
            "id": self.id,
            "api_name": self.api_name,
            "field_label": self.label,
            "display_label": self.label,
            "data_type": "formula" if self.data_type == "formula_text" else self.data_type,
            "json_type": _JSON_TYPES.get(self.data_type, "string"),
            "length": self.length,
            "decimal_place": self.decimal_place,
            "system_mandatory": self.mandatory,
            "read_only": self.computed,
            "field_read_only": self.computed,
            "visible": True,
            "custom_field": self.custom,
            "unique": {"case_sensitive": self.case_sensitive} if self.unique else {},
            "external": {"show": True, "type": self.external} if self.external else None,
            "pick_list_values": [_choice(value, at) for at, value in enumerate(self.choices, 1)],
            "lookup": {"module": {"api_name": target}, "display_label": self.label} if self.data_type == "lookup" else {},
            "associated_module": {"module": target} if self.data_type == "subform" else None,
            "operation_type": {
                "web_update": writable,
                "api_create": writable,
                "web_create": writable,
                "api_update": writable,
            },
            "type": "used",
        }


def _choice(value: str, at: int) -> dict[str, Any]:
    return {"display_value": value, "actual_value": value, "reference_value": value, "sequence_number": at, "type": "used"}


class Module(msgspec.Struct, kw_only=True):
    """One module. ``name`` never changes; ``api_name`` is what an administrator may rename it to."""

    name: str
    api_name: str
    id: str
    fields: dict[str, Field]
    parent: str | None = None  # module name of the owner of a subform
    title: str = "id"  # the field that names a record to people
    custom: bool = False

    @property
    def subforms(self) -> Iterator[Field]:
        return (field for field in self.fields.values() if field.data_type == "subform")

    def told(self, parent: "Module | None") -> dict[str, Any]:
        """The module as ``GET settings/modules`` tells it."""
        own = self.parent is None
        label = self.api_name.replace("_", " ")
        return {
            "id": self.id,
            "api_name": self.api_name,
            "module_name": self.name,
            "plural_label": label,
            "singular_label": label.removesuffix("s"),
            "generated_type": "custom" if self.custom else "default" if own else "subform",
            "parent_module": {"api_name": parent.api_name, "id": parent.id} if parent else {},
            "api_supported": True,
            "viewable": True,
            "creatable": own,
            "editable": own,
            "deletable": own,
            "visible": True,
            "status": "visible",
            "show_as_tab": own,
            "recycle_bin_on_delete": own,
            "global_search_supported": own,
        }
