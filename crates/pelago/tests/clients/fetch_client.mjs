// Node's fetch: many at once, a body of unknown length, a stream, and a host of its own.
// fetch forbids a `host` header, so the name is looked up by node:http where one is asked for.
import http from "node:http";

const [address, flag, host] = process.argv.slice(2);
const base = `http://${address}`;
const check = (what, seen, meant) => {
  if (JSON.stringify(seen) !== JSON.stringify(meant)) {
    console.error(`${what}: ${JSON.stringify(seen)} in place of ${JSON.stringify(meant)}`);
    process.exit(1);
  }
};

if (flag !== "--host") {
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, it) => (await fetch(`${base}/echo?n=${it}`)).json()),
  );
  check("at once", answers.map((it) => it.target), Array.from({ length: 50 }, (_, it) => `/echo?n=${it}`));
  const parts = new ReadableStream({
    start(out) {
      for (let it = 0; it < 100; it++) out.enqueue(new Uint8Array(1000));
      out.close();
    },
  });
  const counted = await fetch(`${base}/count`, { method: "POST", body: parts, duplex: "half" });
  check("chunks", await counted.json(), { bytes: 100000, chunked: true });
  check("status", (await fetch(`${base}/status/404`)).status, 404);
  check("stream", (await (await fetch(`${base}/chunks`)).text()).length, 10240);
} else {
  const agent = new http.Agent({ keepAlive: true });
  const ask = (path) =>
    new Promise((resolve, reject) => {
      const request = http.get(`${base}${path}`, { agent, headers: { host } }, (answer) => {
        let text = "";
        answer.on("data", (it) => (text += it)).on("end", () => resolve({ status: answer.statusCode, text }));
      });
      request.on("error", reject);
    });
  check("host", JSON.parse((await ask("/echo")).text).headers["x-forwarded-host"], host);
  check("stream", (await ask("/chunks")).text.length, 10240);
  check("status", (await ask("/status/418")).status, 418);
  agent.destroy();
}
