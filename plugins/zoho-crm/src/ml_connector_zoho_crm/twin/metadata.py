"""What the org tells of itself: org, users, modules, fields, layouts, pipelines; and the creation of fields."""

import re
from typing import Any

from ml_connector.twin import TwinResponse
from ml_connector_zoho_crm.twin.catalogue import CURRENCIES, STAGES
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.schema import UNIQUE_TYPES, Field
from ml_connector_zoho_crm.twin.table import Row, Table
from ml_connector_zoho_crm.twin.wire import Call, Fault, Refused, answer, batch, fault

FIELDS_PER_CALL = 5
CREATABLE = (
    *("text", "textarea", "email", "phone", "website", "picklist", "integer", "bigint", "double", "currency", "percent"),
    *("date", "datetime", "boolean"),
)
_MAX_LENGTH = {"text": 255, "website": 450, "textarea": 32000, "bigint": 18, "integer": 9, "currency": 16, "double": 16}


class Metadata:
    """The ``/org``, ``/users`` and ``/settings`` calls."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.can_create_fields = True
        self.external_beside_unique = True  # whether one field may be both (not documented)
        self.edition = "enterprise"
        self.licences = 5

    def org(self, call: Call) -> TwinResponse:
        org = self._org
        home = next(iter(CURRENCIES))
        told = {
            "id": org.org_id,
            "zgid": org.org_id[-9:],
            "company_name": "Twin Trading",
            "type": "production",
            "time_zone": "Asia/Kolkata",
            "iso_code": home,
            "currency": home,
            "currency_symbol": "€",
            "mc_status": org.multi_currency,
            "primary_email": org.person.email,
            "license_details": {
                "paid": True,
                "paid_type": self.edition,
                "users_license_purchased": self.licences,
                "trial_type": None,
                "trial_expiry": None,
                "paid_expiry": None,
            },
        }
        return answer(200, {"org": [told]})

    def users(self, call: Call) -> TwinResponse:
        kind = call.query.get("type", "AllUsers")
        chosen = [user for user in self._org.users.values() if kind != "CurrentUser" or user.id == call.user]
        told = [
            {
                "id": user.id,
                "full_name": user.name,
                "first_name": user.name.split()[0],
                "last_name": user.name.split()[-1],
                "email": user.email,
                "status": "active",
                "confirm": True,
                "locale": "en_GB",
                "time_zone": "Asia/Kolkata",
                "type__s": "Regular User",
                "profile": {"name": "Administrator", "id": self._org.org_id},
            }
            for user in chosen
        ]
        info = {"per_page": 200, "count": len(told), "page": 1, "more_records": False}
        return answer(200, {"users": told, "info": info})

    def modules(self, call: Call) -> TwinResponse:
        return answer(200, {"modules": [self._module(table) for table in self._org.tables.values()]})

    def module(self, call: Call, table: Table) -> TwinResponse:
        return answer(200, {"modules": [self._module(table)]})

    def _module(self, table: Table) -> Row:
        parent = self._org.tables.get(table.module.parent or "")
        return table.module.told(parent.module if parent else None)

    def fields(self, call: Call, table: Table) -> TwinResponse:
        wanted = call.query.get("type", "all")
        if wanted not in ("all", "used", "unused"):
            raise Refused(400, "INVALID_DATA", "invalid data", param_name="type")
        if wanted == "unused":
            return answer(204)
        return answer(200, {"fields": [self._field(field) for field in table.module.fields.values()]})

    def _field(self, field: Field) -> Row:
        return field.told(self._org.api_name(field.target))

    def layouts(self, call: Call, table: Table) -> TwinResponse:
        fields = [
            self._field(field) | {"required": field.required or field.mandatory} for field in table.module.fields.values()
        ]
        section = {"name": table.module.api_name, "api_name": table.module.api_name, "type": "used", "sequence_number": 1}
        layout = {
            "id": self._org.layouts[table.module.name],
            "name": "Standard",
            "display_label": "Standard",
            "status": "active",
            "visible": True,
            "sections": [section | {"fields": fields}],
        }
        return answer(200, {"layouts": [layout]})

    def pipelines(self, call: Call) -> TwinResponse:
        layout = call.query.get("layout_id")
        if layout is None:
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="layout_id")
        if layout != self._org.layouts["Deals"]:
            raise Refused(400, "INVALID_DATA", "the layout id given seems to be invalid", param_name="layout_id")
        told = [
            {
                "id": f"{layout[:-3]}{at:03}",
                "display_value": name,
                "actual_value": name,
                "default": at == 1,
                "maps": [self._stage(stage, place) for place, stage in enumerate(stages, 1)],
            }
            for at, (name, stages) in enumerate(self._org.pipelines.items(), 1)
        ]
        return answer(200, {"pipeline": told})

    def _stage(self, stage: str, at: int) -> Row:
        kind = STAGES.get(stage, (50, "Open"))[1]
        category = {"Open": "Pipeline", "Closed Won": "Closed", "Closed Lost": "Omitted"}[kind]
        return {
            "id": f"{self._org.layouts['Deals'][:-4]}{at:04}",
            "display_value": stage,
            "actual_value": stage,
            "sequence_number": at,
            "forecast_type": kind,
            "forecast_category": {"name": category, "id": self._org.org_id},
        }

    # -- creating fields

    def create_fields(self, call: Call, table: Table) -> TwinResponse:
        if not self.can_create_fields:
            needs = ["Crm_Implied_Customize_Zoho_CRM"]
            raise Refused(403, "NO_PERMISSION", "permission denied", permissions=needs)
        items = call.items("fields", 1000)
        if len(items) > FIELDS_PER_CALL:
            due_to = [{"api_name": "fields", "json_path": "$.fields"}]
            raise Refused(400, "LIMIT_EXCEEDED", "fields exceed the limit", limit=FIELDS_PER_CALL, limit_due_to=due_to)
        results = [self._create(table, item, f"$.fields[{at}]") for at, item in enumerate(items)]
        return batch(results, key="fields", created=201)

    def _create(self, table: Table, item: Any, path: str) -> Fault:
        if not isinstance(item, dict):
            return fault("INVALID_DATA", "invalid data", json_path=path, expected_data_type="jsonobject")
        for name in ("field_label", "data_type"):
            if not isinstance(item.get(name), str) or not item[name].strip():
                return fault("MANDATORY_NOT_FOUND", "required field not found", api_name=name, json_path=f"{path}.{name}")
        kind, label = item["data_type"], item["field_label"].strip()
        external, unique = item.get("external"), item.get("unique")
        if kind not in CREATABLE:
            return _invalid("data_type", path, supported_values=list(CREATABLE))
        if len(label) > 50:
            return _invalid("field_label", path, maximum_length=50)
        if any(field.label.casefold() == label.casefold() for field in table.module.fields.values()):
            return fault("DUPLICATE_DATA", "duplicate data", api_name="field_label", json_path=f"{path}.field_label")
        length = item.get("length", 0)
        if type(length) is not int or length < 0 or length > _MAX_LENGTH.get(kind, 255):
            return _invalid("length", path, maximum_length=_MAX_LENGTH.get(kind, 255))
        if unique and (kind not in UNIQUE_TYPES or not isinstance(unique, dict)):
            return fault("NOT_ALLOWED", "this type cannot be unique", api_name="unique", json_path=f"{path}.unique")
        if external and (kind != "text" or not isinstance(external, dict) or external.get("type") not in ("org", "user")):
            return fault("NOT_ALLOWED", "this field cannot be external", api_name="external", json_path=f"{path}.external")
        if unique and external and not self.external_beside_unique:
            both = [{"api_name": name, "json_path": f"{path}.{name}"} for name in ("external", "unique")]
            return fault("AMBIGUITY_DURING_PROCESSING", "external and unique exclude each other", ambiguity_due_to=both)
        listed = item.get("pick_list_values") or []
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            return _invalid("pick_list_values", path, expected_data_type="jsonarray")
        choices = [str(one.get("actual_value") or one.get("display_value")) for one in listed]
        if kind == "picklist" and not choices:
            return fault(
                "MANDATORY_NOT_FOUND",
                "required field not found",
                api_name="pick_list_values",
                json_path=f"{path}.pick_list_values",
            )
        field = self._org.add_field(
            table.module.name,
            _api_name(label, table),
            kind,
            label=label,
            length=length,
            unique=bool(unique),
            case_sensitive=bool(unique and unique.get("case_sensitive")),
            external=external["type"] if external else None,
            choices=choices,
        )
        return {"code": "SUCCESS", "details": {"id": field.id}, "message": "field created", "status": "success"}


def _invalid(name: str, path: str, **details: Any) -> Fault:
    return fault("INVALID_DATA", "invalid data", api_name=name, json_path=f"{path}.{name}", **details)


def _api_name(label: str, table: Table) -> str:
    """The name that Zoho derives: words joined by underscores, a number behind it when it is taken."""
    derived = re.sub(r"\W+", "_", label, flags=re.ASCII).strip("_") or f"field{len(table.module.fields)}"
    name, at = derived, 0
    while name in table.module.fields:
        at += 1
        name = f"{derived}{at}"
    return name
