"""py_zipkin: spans in version 2 of Zipkin's JSON, in its protobuf, and in version 1, sent with `requests`. Its argument is the endpoint for version 2; it says on its
standard output which traces to look for."""

import sys

import requests
from py_zipkin import Encoding, Kind
from py_zipkin.zipkin import create_attrs_for_span, zipkin_client_span, zipkin_span

from asked import check

endpoint = sys.argv[1]
for encoding, path, content in [
    (Encoding.V2_JSON, "/api/v2/spans", "application/json"),
    (Encoding.V2_PROTO3, "/api/v2/spans", "application/x-protobuf"),
    (Encoding.V1_JSON, "/api/v1/spans", "application/json"),
]:
    url = endpoint.replace("/api/v2/spans", path)

    def send(body, url=url, content=content):
        answer = requests.post(url, data=body, headers={"content-type": content}, timeout=10)
        check(f"answer to {content} at {path}", answer.status_code, 202)

    attributes = create_attrs_for_span(sample_rate=100.0, use_128bit_trace_id=True)
    with zipkin_span(
        service_name="frontend",
        span_name=f"get {encoding.value}",
        zipkin_attrs=attributes,
        transport_handler=send,
        encoding=encoding,
        kind=Kind.SERVER,
        port=8080,
        binary_annotations={"http.path": "/cart"},
    ):
        with zipkin_client_span(service_name="frontend", span_name="charge") as inner:
            inner.add_sa_binary_annotation(port=443, service_name="payments", host="127.0.0.1")
            inner.add_annotation("sent")
            inner.update_binary_annotations({"error": "declined"})
    print(attributes.trace_id)
