"""OpenTelemetry behind the core's Telemetry port: spans, metrics, and the trace ids that the audit carries.

Nothing leaves the process unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or a signal's own variable) names a collector; trace ids are
made either way, because the audit ties to them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ml_connector.ports.telemetry import Attribute

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

NAME: Final = "ml_connector"
MAX_EVENTS: Final = 1000
"""A span keeps 128 events unless told otherwise, and drops the rest in silence; a batch may have that many failed records."""


class Span:
    """The core's view of an OpenTelemetry span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        return format(self._span.get_span_context().trace_id, "032x")

    def event(self, name: str, **attributes: Attribute) -> None:
        self._span.add_event(name, attributes)


class Telemetry:
    """Fulfils the core's port over whatever providers are installed."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer(NAME)
        self._meter = metrics.get_meter(NAME)
        self._counters: dict[str, Counter] = {}

    @contextmanager
    def span(self, name: str, **attributes: Attribute) -> Iterator[Span]:
        with self._tracer.start_as_current_span(name, attributes=_prefixed(attributes)) as span:
            yield Span(span)

    def count(self, name: str, amount: int, **attributes: Attribute) -> None:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = self._meter.create_counter(name)
        counter.add(amount, _prefixed(attributes))


def _prefixed(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {f"{NAME}.{name}": value for name, value in attributes.items()}


def install(*, readers: "tuple[MetricReader, ...]" = ()) -> Telemetry:
    """Install the process's providers, once; exports over OTLP/HTTP where the environment names a collector."""
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "ml-connector")})
    tracers = TracerProvider(resource=resource, span_limits=SpanLimits(max_events=MAX_EVENTS))
    if _wanted("TRACES"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    if _wanted("METRICS"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers = (*readers, PeriodicExportingMetricReader(OTLPMetricExporter()))
    if readers:  # without one nobody would see the metrics, and their half of the SDK takes a while to import
        from opentelemetry.sdk.metrics import MeterProvider

        metrics.set_meter_provider(MeterProvider(metric_readers=readers, resource=resource))
    return Telemetry()


def shutdown() -> None:
    """Send what is still in the queues; called once, at the end."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        stop = getattr(provider, "shutdown", None)  # the API's own stand-ins have none
        if stop is not None:
            stop()


def _wanted(signal: str) -> bool:
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(os.environ.get(name) for name in names)
