// Zipkin for Node, with its transport over HTTP. Its argument is the endpoint; it says on its standard output which
// trace to look for.
import zipkin from "zipkin";
import transport from "zipkin-transport-http";

const { Annotation, BatchRecorder, ExplicitContext, InetAddress, Tracer, jsonEncoder } = zipkin;
const failures = [];
const logger = new transport.HttpLogger({
  endpoint: process.argv[2],
  jsonEncoder: jsonEncoder.JSON_V2,
  httpInterval: 50,
  log: { error: (...said) => failures.push(said.map(String).join(" ")) },
});
const recorder = new BatchRecorder({ logger });
const tracer = new Tracer({ ctxImpl: new ExplicitContext(), recorder, localServiceName: "frontend", traceId128Bit: true });

const id = tracer.createRootId();
tracer.letId(id, () => {
  tracer.recordServiceName("frontend");
  tracer.recordRpc("get");
  tracer.recordBinary("http.path", "/cart");
  tracer.recordAnnotation(new Annotation.ServerRecv());
  tracer.letId(tracer.createChildId(), () => {
    tracer.recordServiceName("frontend");
    tracer.recordRpc("charge");
    tracer.recordAnnotation(new Annotation.ServerAddr({ serviceName: "payments", host: new InetAddress("127.0.0.1"), port: 443 }));
    tracer.recordAnnotation(new Annotation.ClientSend());
    tracer.recordBinary("error", "declined");
    tracer.recordAnnotation(new Annotation.ClientRecv());
  });
  tracer.recordAnnotation(new Annotation.ServerSend());
});

// The logger sends every while and says when it did, but does not keep the process alive for it.
const alive = setInterval(() => {}, 1000);
await new Promise((resolve, reject) => {
  logger.on("success", resolve);
  logger.on("error", reject);
});
clearInterval(alive);
console.log(id.traceId);
if (failures.length !== 0) {
  console.error(failures.join("\n"));
}
process.exit(failures.length);
