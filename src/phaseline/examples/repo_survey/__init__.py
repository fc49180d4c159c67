"""A survey of any git repository, made with git and the standard library."""
