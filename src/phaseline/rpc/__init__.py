"""Serves the contract over gRPC."""
