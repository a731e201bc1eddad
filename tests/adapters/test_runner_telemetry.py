"""Spans nested in one trace from the run down to the call, trace ids that the audit carries, and OTLP only on request."""

from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from ml_connector.errors import Unavailable
from ml_connector_adapters import config, telemetry
from ml_connector_adapters.http import client
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.container import open_workspace
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_zoho_crm.twin import ZohoTwin

FILE = """
[workspace]
name = "acme"
[connections.ifs]
system = "ifs-cloud"
base_url = "https://acme.ifs.cloud"
realm = "acmeprod"
client_id = "ML_CONNECTOR"
client_secret = "env:IFS_SECRET"
company = "10"
[connections.zoho]
system = "zoho-crm"
accounts_server = "https://accounts.zoho.eu"
client_id = "1000.TWIN"
client_secret = "env:ZOHO_SECRET"
refresh_token = "env:ZOHO_TOKEN"
[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"
"""
COLLECTOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


@pytest.fixture(autouse=True)
def fresh_providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenTelemetry takes providers once per process; each test begins one."""

    def forget() -> None:
        trace._TRACER_PROVIDER_SET_ONCE, trace._TRACER_PROVIDER = Once(), None
        metrics._internal._METER_PROVIDER_SET_ONCE, metrics._internal._METER_PROVIDER = Once(), None

    for name in COLLECTOR:
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    telemetry.shutdown()
    forget()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What would be exported."""
    telemetry.install()
    monkeypatch.setattr(client, "_tracer", trace.get_tracer("ml_connector"))  # the module's own met an earlier test's provider
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))  # type: ignore[attr-defined]
    return exporter


async def test_a_run_its_batches_and_its_calls_are_one_trace_and_the_audit_names_it(tmp_path, monkeypatch, spans):
    ifs, zoho = IfsTwin(), ZohoTwin(erp_fields=True)
    ifs.fill(3, 0)
    monkeypatch.setenv("IFS_SECRET", *ifs.secrets().values())
    for name, value in zip(("ZOHO_SECRET", "ZOHO_TOKEN"), zoho.secrets().values(), strict=True):
        monkeypatch.setenv(name, value)
    (tmp_path / "ml-connector.toml").write_text(FILE)
    [workspace] = config.load(tmp_path / "ml-connector.toml", discover().systems)
    transports = {"ifs": TwinTransport(ifs), "zoho": TwinTransport(zoho)}
    async with open_workspace(workspace, telemetry=telemetry.Telemetry(), transports=transports) as here:
        result = await here.worker.run(workspace.flows[0])
        audited = {record.entry.trace_id async for record in here.store.ledger.entries()}
    assert result.exit_code == 0, result
    finished = spans.get_finished_spans()
    [run] = [span for span in finished if span.name == "sync.run"]
    assert {format(span.context.trace_id, "032x") for span in finished} == {result.run.trace_id} == audited
    [batch] = [span for span in finished if span.name == "sync.batch"]
    assert batch.parent.span_id == run.context.span_id
    calls = [span for span in finished if span.name.startswith("http ")]
    assert len(calls) > 3
    parents = {span.context.span_id: span.name for span in finished}
    upsert = next(span for span in calls if str(span.attributes["url.path"]).endswith("/upsert"))
    assert parents[upsert.parent.span_id] == "sync.batch"
    assert all(span.parent is not None for span in calls)


def test_a_failed_record_is_an_event_and_a_failed_run_a_failed_span(spans):
    told = telemetry.Telemetry()
    with pytest.raises(Unavailable), told.span("sync.run", flow="orders") as run:
        run.event("record.failed", number="10042", term="rejected")
        raise Unavailable("away")
    [span] = spans.get_finished_spans()
    assert span.events[0].name == "record.failed"
    assert not span.status.is_ok
    assert span.attributes["ml_connector.flow"] == "orders"
    assert run.trace_id == format(span.context.trace_id, "032x")


def test_trace_ids_are_made_without_a_collector_and_nothing_leaves_the_process():
    told = telemetry.install()
    with told.span("sync.run") as run:
        assert len(run.trace_id) == 32
        assert int(run.trace_id, 16) != 0
    assert trace.get_tracer_provider()._active_span_processor._span_processors == ()


@pytest.mark.parametrize("name", COLLECTOR[:2])
def test_spans_are_exported_over_otlp_where_a_collector_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    telemetry.install()
    [processor] = trace.get_tracer_provider()._active_span_processor._span_processors
    assert "OTLP" in type(processor.span_exporter).__name__


def test_counts_reach_the_reader_with_their_outcome():
    reader = InMemoryMetricReader()
    told = telemetry.install(readers=(reader,))
    told.count("ml_connector.records", 3, flow="orders", outcome="written")
    told.count("ml_connector.records", 2, flow="orders", outcome="written")
    [resource] = reader.get_metrics_data().resource_metrics
    [point] = resource.scope_metrics[0].metrics[0].data.data_points
    assert (point.value, point.attributes["ml_connector.outcome"]) == (5, "written")
