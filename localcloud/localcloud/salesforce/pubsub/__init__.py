"""The Pub/Sub API of the stand-in org: an event bus in its file, served over gRPC as `eventbus.v1`."""
