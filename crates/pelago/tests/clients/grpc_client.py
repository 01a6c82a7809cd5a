"""gRPC's own Python client: the four kinds of calls, trailers, an error, a deadline."""

import grpc

from asked import arguments, check

asked = arguments()
with grpc.insecure_channel(asked.address, [("grpc.default_authority", asked.host)]) as channel:
    answer, call = channel.unary_unary("/test.Kinds/Unary").with_call(b"tea", timeout=10)
    check("unary", answer, b"aet")
    check("trailers", ("seen-by", "server") in [tuple(it) for it in call.trailing_metadata()], True)
    stream = channel.unary_stream("/test.Kinds/ServerStream")(b"100", timeout=10)
    check("server stream", [int(it) for it in stream], list(range(100)))
    total = channel.stream_unary("/test.Kinds/ClientStream")(
        (str(it).encode() for it in range(100)), timeout=10)
    check("client stream", total, b"4950")
    both = channel.stream_stream("/test.Kinds/BothStreams")(
        (it.encode() for it in "abc"), timeout=10)
    check("both streams", list(both), [b"A", b"B", b"C"])
    large = bytes(3 << 20)
    check("large", len(channel.unary_unary("/test.Kinds/Unary")(large, timeout=30)), len(large))
    try:
        channel.unary_unary("/test.Kinds/Fails")(b"", timeout=10)
        check("fails", "an answer", "an error")
    except grpc.RpcError as error:
        check("code", error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        check("details", error.details(), "the cart is empty")
        check("error's trailers", dict(error.trailing_metadata()).get("remedy-bin"), b"\x00\x01")
    try:
        channel.unary_unary("/test.Kinds/Missing")(b"", timeout=10)
        check("missing", "an answer", "an error")
    except grpc.RpcError as error:
        check("missing", error.code(), grpc.StatusCode.UNIMPLEMENTED)
