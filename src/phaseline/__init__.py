"""Executes workflows phase by phase, durably, and records what each execution did."""

__version__ = "0.1.0"
