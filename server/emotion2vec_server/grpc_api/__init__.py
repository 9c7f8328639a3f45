"""The gRPC door: protobuf and grpc.aio, and nothing that another door would need."""
