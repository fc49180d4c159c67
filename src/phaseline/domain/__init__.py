"""What happens: the pure rules of executions, phases and operations."""
