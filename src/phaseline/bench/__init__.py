"""Measures a server: rates and latencies as shares of the fastest that gRPC in Python allows."""
