"""A service in gRPC whose messages are bytes: one method of each kind, and one that fails with trailers."""

import concurrent.futures
import os

import grpc


def unary(request, context):
    context.set_trailing_metadata((("seen-by", "server"),))
    return request[::-1]


def server_stream(request, _):
    for number in range(int(request)):
        yield str(number).encode()


def client_stream(requests, _):
    return str(sum(int(it) for it in requests)).encode()


def both_streams(requests, _):
    for request in requests:
        yield request.upper()


def fails(_, context):
    context.set_trailing_metadata((("remedy-bin", b"\x00\x01"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the cart is empty")


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "BothStreams": grpc.stream_stream_rpc_method_handler(both_streams),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
}

server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Kinds", METHODS),))
server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
