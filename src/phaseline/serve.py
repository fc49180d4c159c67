"""The composition root: puts a server together and runs it."""
