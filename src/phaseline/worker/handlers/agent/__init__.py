"""The `agent` handler: runs an agent program and reads its event stream."""
