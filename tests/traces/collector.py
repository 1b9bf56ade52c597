"""A collector of spans, with the messages and the service that OpenTelemetry publishes: prints its port, then a line of JSON for
each span that it is sent."""

import json
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(of):
    return {pair.key: value(pair.value) for pair in of.attributes}


class Collector(service.TraceServiceServicer):
    def Export(self, request, context):
        for of_resource in request.resource_spans:
            resource = attributes(of_resource.resource)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
                    line = {
                        "service": resource["service.name"],
                        "trace": span.trace_id.hex(),
                        "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "start": span.start_time_unix_nano,
                        "end": span.end_time_unix_nano,
                        "status": span.status.code,
                        "attributes": attributes(span),
                    }
                    print(json.dumps(line), flush=True)
        return messages.ExportTraceServiceResponse()


# One worker: a line and its end are written apart, and two workers' lines would run into each other.
server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
service.add_TraceServiceServicer_to_server(Collector(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(json.dumps({"port": port}), flush=True)
# Until whoever has started it goes away.
sys.stdin.read()
server.stop(0)
