"""Makes what happened durable."""
