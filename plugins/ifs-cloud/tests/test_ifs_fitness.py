"""The fit report names what is missing, and tells an empty set from one that may not be seen."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from ml_connector.errors import AuthRejected, ContractBroken
from ml_connector.ports.fitness import Need
from ml_connector_adapters.http import Answer
from ml_connector_ifs_cloud.api import Service
from ml_connector_ifs_cloud.metadata import MetadataReader, nearest, parsed

BOTH = [Need(kind=kind, access="read", fields=frozenset({"number"})) for kind in ("account", "order")]
EMPTY = {"value": []}
EDMX = """<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0"><edmx:DataServices>
<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="IfsApp.P">
 <EntityType Name="Base"><Key><PropertyRef Name="No"/></Key><Property Name="No" Type="Edm.String"/></EntityType>
 <EntityType Name="Order" BaseType="IfsApp.P.Base"><Property Name="State" Type="IfsApp.P.OrderState"/>
  <NavigationProperty Name="Lines" Type="Collection(IfsApp.P.Line)"/></EntityType>
 <EnumType Name="OrderState"><Member Name="Planned"/></EnumType>
 <EntityContainer Name="C"><EntitySet Name="OrderSet" EntityType="IfsApp.P.Order"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"""


async def findings(connection, needs=BOTH):
    return await connection.fitness.inspect(needs)


def told(found, level):
    return [f"{one.about}: {one.what}" for one in found if one.level == level]


async def test_a_tenant_that_has_everything_is_fit(twin, open_twin):
    twin.fill(10, 10)
    found = await findings(open_twin(twin, company="10"))
    assert told(found, "unfit") == told(found, "warning") == []
    assert [one.what for one in found if one.about == "quota"][1].startswith("about 10 orders")


async def test_each_missing_property_is_named_with_the_nearest_that_exists(twin, open_twin):
    twin.fill(2, 2)
    wrong = {
        "entities": {"order": {"select": ["OrderNo", "CustomerPO"], "lines": {"select": ["CatalogNr"]}}},
        "custom_fields": {"account": {"crm_id": "Cf_Crm_Id"}},
        "dimensions": {"region": "RegionCod"},
    }
    text = "\n".join(told(await findings(open_twin(twin, **wrong)), "unfit"))
    assert "CustomerOrder has no property CustomerPO (the nearest is CustomerPoNo)" in text
    assert "order.lines: lines.select: CustomerOrderLine has no property CatalogNr (the nearest is CatalogNo)" in text
    assert "account.extra.crm_id: CustomerInfo has no property Cf_Crm_Id" in text
    assert "order.extra.region: CustomerOrder has no property RegionCod (the nearest is RegionCode)" in text


async def test_a_custom_fields_letters_count(twin, open_twin):
    twin.add_custom_field("CustomerInfo", "Cf_CRM_Id")
    text = told(await findings(open_twin(twin, custom_fields={"account": {"crm_id": "Cf_Crm_Id"}})), "unfit")
    assert any("(the nearest is Cf_CRM_Id)" in line for line in text)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"order": {"read_set": "CustomerOrdersSet"}}, "no set CustomerOrdersSet (the nearest is CustomerOrderSet)"),
        ({"order": {"gateway": "int"}}, "the service is not there"),
        ({"order": {"state_enum": "OrderState"}}, "Objstate is of type CustomerOrderState, not OrderState"),
        ({"order": {"key": {"name": "OrderNo", "edm": "decimal"}}}, "key: OrderNo is Edm.String, not Edm.Decimal"),
        ({"account": {"categories": ["Custmer"]}}, "no member Custmer (the nearest is Customer)"),
        ({"account": {"category_enum": ""}}, "CustomerCategory is of type CustomerCategory, not Edm.String"),
        (
            {"account": {"change_strategy": "timestamp", "modified_field": {"name": "Changed", "edm": "datetime"}}},
            "modified_field: CustomerInfo has no property Changed",
        ),
    ],
)
async def test_what_does_not_fit_the_projection_is_told_by_name(twin, open_twin, wrong, words):
    twin.fill(2, 2)
    text = "\n".join(told(await findings(open_twin(twin, entities=wrong)), "unfit"))
    assert words in text


async def test_a_creation_stamp_is_no_stamp_of_change(twin, open_twin):
    twin.fill(2, 2)
    found = await findings(open_twin(twin, entities={"order": {"change_strategy": "timestamp"}}))
    assert any("edits and deletions will not be seen" in line for line in told(found, "warning"))


async def test_lines_without_a_flat_set_are_dear_but_possible(twin, open_twin):
    twin.fill(2, 2)
    found = await findings(open_twin(twin, entities={"order": {"lines": {"set": "Nowhere", "aliases": []}}}))
    assert any("one call per order" in line for line in told(found, "warning"))


async def test_fields_that_a_flow_reads_in_vain_are_told(twin, open_twin):
    twin.fill(2, 2)
    need = Need(kind="account", access="read", fields=frozenset({"industry", "extra.profit_center", "extra.market"}))
    found = await findings(open_twin(twin), [need])
    assert "account.industry: IFS has no industry to read" in told(found, "warning")[0]
    assert [line.partition(":")[0] for line in told(found, "unfit")] == ["account.extra.profit_center"]


async def test_what_is_not_offered_is_told(twin, open_twin):
    found = await findings(open_twin(twin), [Need(kind="vendor", access="write", fields=frozenset())])
    assert told(found, "unfit") == ["vendor: vendor cannot be written here"]


WRITES = [Need(kind=kind, access="write", fields=frozenset({"number"})) for kind in ("account", "order")]


async def test_a_tenant_that_has_everything_is_fit_to_be_written_and_the_rights_to_grant_are_named(twin, open_twin):
    twin.fill(10, 10)
    found = await findings(open_twin(twin), WRITES)
    assert told(found, "unfit") == told(found, "warning") == []
    rights = [line for line in told(found, "ok") if "to be granted for writing" in line]
    assert [line.partition(":")[0] for line in rights] == ["account.rights", "order.rights"]


BODY = {"Reason": "X"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"order": {"status_write": {"actions": {"Released": {"name": "CustomerOrder_Release"}}}}},
            "status_write.actions.Released: no action CustomerOrder_Release; there are CustomerOrder_PrintResultKey, "
            "CustomerOrder_SetCancelled, CustomerOrder_SetReleased (the nearest is CustomerOrder_SetReleased)",
        ),
        (
            {
                "order": {
                    "status_write": {"actions": {"Cancelled": {"name": "CustomerOrder_SetCancelled", "body": {"Reason": "X"}}}}
                }
            },
            "CustomerOrder_SetCancelled takes no Reason (the nearest is CancelReason)",
        ),
        ({"order": {"external_id_field": "Cf_Crm_Id"}}, "to write: CustomerOrder has no property Cf_Crm_Id"),
        ({"order": {"create_defaults": {"Contrct": "S01"}}}, "has no property Contrct (the nearest is Contract)"),
        ({"order": {"lines": {"nav": "OrderLines"}}}, "no navigation OrderLines (the nearest is OrderLinesArray)"),
        ({"account": {"create_defaults": {"Countri": "x"}}}, "has no property Countri (the nearest is Country)"),
    ],
)
async def test_what_writing_would_miss_is_named(twin, open_twin, wrong, words):
    twin.fill(2, 2)
    found = await findings(open_twin(twin, entities=wrong), WRITES)
    assert words in "\n".join([*told(found, "unfit"), *told(found, "warning")])


async def test_fields_that_have_no_place_in_ifs_are_named_before_anything_runs(twin, open_twin):
    twin.fill(2, 2)
    need = Need(kind="account", access="write", fields=frozenset({"name", "annual_revenue", "billing.city", "extra.tier"}))
    assert told(await findings(open_twin(twin), [need]), "unfit") == [
        "account.annual_revenue: annual_revenue cannot be written to IFS",
        "account.extra.tier: extra.tier cannot be written to IFS",
    ]


async def test_a_wrong_secret_pauses_the_connection(twin, open_twin):
    erp = open_twin(twin)
    twin.identity.client_secret = "rotated"
    with pytest.raises(AuthRejected):
        await findings(erp)


class Schemas:
    """An Api that serves one schema, with or without an ETag of its own."""

    def __init__(self, etag: str | None) -> None:
        self.etag, self.sent = etag, []

    async def get(self, path, *, accept, etag):
        unchanged = self.etag is not None and etag == self.etag
        self.sent.append(0 if unchanged else len(EDMX))
        headers = {"etag": self.etag} if self.etag else {}
        return Answer(304 if unchanged else 200, headers, b"" if unchanged else EDMX.encode(), path)


@pytest.mark.parametrize(("etag", "sent"), [('W/"25R1"', [len(EDMX), 0]), (None, [len(EDMX)] * 2)])
async def test_a_schema_is_read_again_only_if_it_changed(etag, sent):
    api = Schemas(etag)
    reader, service = MetadataReader(api), Service("main", "P", "/main/P.svc")
    first = await reader.read(service)
    assert await reader.read(service) is first
    assert api.sent == sent


async def test_missing_rights_are_told_from_an_empty_set(twin, open_twin, swept):
    twin.fill(5, 5)
    twin.companies_granted = False
    erp = open_twin(twin)
    with pytest.raises(ContractBroken, match="no order at all came back") as error:
        await swept(erp, "order")
    assert "companies and sites" in error.value.fix
    assert "account.rights" in "".join(told(await findings(erp), "unfit"))


async def test_an_empty_set_beside_one_with_rows_is_an_answer_and_a_warning(twin, open_twin, swept):
    twin.fill(5, 0)
    erp = open_twin(twin)
    assert await swept(erp, "order") == {}
    assert any(line.startswith("order.rights") for line in told(await findings(erp), "warning"))


async def test_emptiness_can_be_declared_normal(twin, open_twin, swept):
    erp = open_twin(twin, entities={"order": {"expect_rows": False}})
    assert await swept(erp, "order") == {}


async def test_a_known_key_that_is_not_seen_proves_missing_rights(twin, open_twin):
    twin.fill(5, 5)
    found = await findings(open_twin(twin, entities={"order": {"known_key": "C-HIDDEN"}}))
    assert any("C-HIDDEN exists" in line for line in told(found, "unfit"))


async def test_a_scope_that_leaves_nothing_is_no_matter_of_rights(twin, open_twin, swept):
    twin.fill(5, 5)
    erp = open_twin(twin, sites=["S99"])
    assert await swept(erp, "order") == {}
    assert any("none within companies, sites" in line for line in told(await findings(erp), "warning"))


@pytest.mark.parametrize(
    ("sites", "configured", "raised"),
    [
        ([], {}, "sees no site"),
        ([{"Contract": "S01", "Company": "10"}], {"sites": ["S02"]}, "does not see S02"),
        ([{"Contract": "S01", "Company": "10"}], {"companies": ["20"]}, "does not see 20"),
        ([{"Contract": "S01", "Company": "10"}], {"sites": ["S01"], "companies": ["10"]}, None),
    ],
)
async def test_the_sites_that_the_user_sees_decide_what_emptiness_means(open_server, swept, sites, configured, raised):
    def reply(asked):
        return {"value": sites if "CompanySiteSet" in asked and "gt '" not in asked and "$skip" not in asked else []}

    erp, _ = open_server(reply, **configured)
    if raised is None:
        assert await swept(erp, "order") == {}
        return
    with pytest.raises(ContractBroken, match=raised):
        await swept(erp, "order")


async def test_a_clock_that_is_off_is_told(open_server, clock):
    headers = {"date": format_datetime(clock.now() + timedelta(minutes=10), usegmt=True)}
    erp, _ = open_server(lambda asked: EMPTY if "metadata" not in asked else None, headers=headers)
    [skew] = [one for one in await findings(erp) if one.about == "clock"]
    assert "600 s ahead of ours" in skew.what


def test_a_schema_is_read_with_what_types_inherit():
    schema = parsed(EDMX.encode(), "here")
    order = schema.type_of("OrderSet")
    assert order.key == ["No"]
    assert order.properties == {"No": "Edm.String", "State": "OrderState"}
    assert order.navigations == {"Lines": "Line"}
    assert schema.enums == {"OrderState": ["Planned"]}


@pytest.mark.parametrize("body", [b"", b"<html/>", b"<edmx:Edmx", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_what_is_no_schema_is_refused(body):
    with pytest.raises(ContractBroken, match=r"\$metadata"):
        parsed(body, "here")


def test_the_nearest_name_is_found_whatever_its_case():
    assert nearest("customerpono", ["CustomerPoNo", "CustomerNo"]) == " (the nearest is CustomerPoNo)"
    assert nearest("Zzz", ["CustomerPoNo"]) == ""
