"""Strangers' clients against the mock org: `make conformance`."""
