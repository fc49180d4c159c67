"""What the store raises when the database cannot do what it must."""

from __future__ import annotations


class StoreFailed(Exception):
    """
    The database could not do what was asked.

    A write that raises this may yet turn out to be committed: whoever made it asks again which
    revision the database has.
    """


class DatabaseInUse(Exception):
    """Another process has this database open."""


class SchemaUnknown(Exception):
    """The database was written by another, newer version of this program."""


class CannotCopy(Exception):
    """One database cannot be copied to the other; the text says why."""
