"""Measures a running server, with the numbers that the README quotes."""
