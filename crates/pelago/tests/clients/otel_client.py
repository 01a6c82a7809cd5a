"""OpenTelemetry's SDK for Python: spans, metrics of every kind and log records, over HTTP or gRPC, configured by nothing but the
environment an instance is given. It says on its standard output which trace to look for."""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from asked import check

if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

# What an exporter could not send it logs; it raises nothing.
failures = []
watch = logging.Handler()
watch.emit = lambda record: failures.append(record.getMessage())
logging.getLogger("opentelemetry").addHandler(watch)

spans = TracerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(spans)

views = [View(instrument_name="payment.size", aggregation=ExponentialBucketHistogramAggregation())]
meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], views=views)
metrics.set_meter_provider(meters)

records = LoggerProvider()
records.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(records)
log = logging.getLogger("shop.checkout")
log.setLevel(logging.INFO)
log.addHandler(LoggingHandler(logger_provider=records))

tracer = trace.get_tracer("shop")
with tracer.start_as_current_span("checkout", kind=trace.SpanKind.SERVER) as span:
    meter = metrics.get_meter("shop")
    meter.create_counter("orders.placed", unit="{order}").add(3, {"currency.code": "EUR"})
    meter.create_up_down_counter("carts.open").add(-2)
    meter.create_observable_gauge(
        "memory.used", callbacks=[lambda _: [Observation(42, {"pool": "heap"})]], unit="By"
    )
    took = meter.create_histogram(
        "checkout.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1]
    )
    for seconds in [0.05, 0.5, 5]:
        took.record(seconds)
    sizes = meter.create_histogram("payment.size", unit="EUR")
    for size in [1.5, 3, 100]:
        sizes.record(size)
    log.info("order %s placed", "o-4711", extra={"order.id": "o-4711"})
    with tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT) as inner:
        inner.set_attribute("peer.service", "payments")
        inner.add_event("declined", {"reason": "limit"})
        inner.set_status(trace.StatusCode.ERROR, "card declined")
    log.error("checkout failed")
    print(f"{span.get_span_context().trace_id:032x}")

for provider in [spans, meters, records]:
    check(f"flush of {type(provider).__name__}", provider.force_flush() is not False, True)
    provider.shutdown()
check("failures", failures, [])
