// OpenTelemetry's SDK for Node: spans in OTLP's JSON, OTLP's protobuf, by gRPC and in Zipkin's JSON; metrics and log records in JSON. It is
// configured by the environment an instance is given, and says on its standard output which trace to look for.
import { context, diag, DiagLogLevel, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Protobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { detectResources, envDetector } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

// What an exporter could not send it tells the diagnostics; it throws nothing.
const failures = [];
const watch = (...said) => failures.push(said.map(String).join(" "));
diag.setLogger({ error: watch, warn: watch, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);

const exporters = { json: Json, protobuf: Protobuf, grpc: Grpc, zipkin: ZipkinExporter };
const resource = detectResources({ detectors: [envDetector] });
const traces = [];
for (const [name, Exporter] of Object.entries(exporters)) {
  const spans = new NodeTracerProvider({
    resource,
    spanProcessors: [new SimpleSpanProcessor(new Exporter())],
  });
  const tracer = spans.getTracer("shop");
  const outer = tracer.startSpan(`checkout ${name}`, { kind: SpanKind.SERVER });
  const inner = tracer.startSpan(
    "charge",
    { kind: SpanKind.CLIENT, attributes: { "peer.service": "payments", attempt: 2 } },
    trace.setSpan(context.active(), outer),
  );
  inner.setStatus({ code: SpanStatusCode.ERROR, message: "card declined" });
  inner.end();
  outer.end();
  traces.push(outer.spanContext().traceId);
  await spans.forceFlush();
  await spans.shutdown();
}

const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() });
const meters = new MeterProvider({ resource, readers: [reader] });
meters.getMeter("shop").createCounter("orders.node").add(5, { "currency.code": "EUR" });
await meters.forceFlush();
await meters.shutdown();

const records = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});
records.getLogger("shop").emit({
  severityNumber: 13,
  severityText: "WARN",
  body: "stock is low",
  attributes: { "item.id": "i-4712", left: 3 },
});
await records.forceFlush();
await records.shutdown();

console.log(traces.join("\n"));
if (failures.length !== 0) {
  console.error(failures.join("\n"));
  process.exit(1);
}
