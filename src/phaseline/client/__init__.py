"""Calls a Phaseline server from Python."""
