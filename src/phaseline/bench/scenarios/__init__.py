"""The scenarios: each measures one thing that callers or operators notice."""
