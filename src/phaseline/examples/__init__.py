"""Workflows that run as they stand."""
