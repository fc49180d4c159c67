"""The schema's history: forward only, applied at start and by `phaseline db upgrade`."""
