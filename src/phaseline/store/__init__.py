"""Makes what happened durable in SQLite or PostgreSQL."""
