"""Runs the phases that a Phaseline server leases."""
