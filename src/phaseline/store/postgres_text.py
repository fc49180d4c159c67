"""The statements of the writer in the words of PostgreSQL, each for any number of rows."""

from __future__ import annotations

from functools import cache
from typing import assert_never

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, String

from phaseline.store.statements import Action, Statement

# The names of the types of columns, subclasses before what they are of.
_TYPES = (
    (BigInteger, "bigint"),
    (Integer, "integer"),
    (Boolean, "boolean"),
    (LargeBinary, "bytea"),
    (String, "text"),
)


@cache
def text_for(statement: Statement) -> str:
    """Return *statement*, to which the values of each column of its rows are bound as an array."""
    table = statement.table.name
    match statement.action:
        case Action.INSERT | Action.PUT | Action.ADD:
            columns = ", ".join(statement.columns)
            arrays = _arrays(statement, statement.columns)
            return (
                f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})"
                f"{_conflict(statement)}"
            )
        case Action.UPDATE:
            changed = ", ".join(f"{name} = given.new_{name}" for name in statement.columns)
            return f"UPDATE {table} SET {changed} FROM {_given(statement)}"
        case Action.SUBTRACT:
            (name,) = statement.columns
            changed = f"{name} = {table}.{name} - given.new_{name}"
            return f"UPDATE {table} SET {changed} FROM {_given(statement)}"
        case Action.DELETE:
            return f"DELETE FROM {table} USING {_given(statement)}"
        case _:
            assert_never(statement.action)


def _given(statement: Statement) -> str:
    """Return the rows that are given, and that each is about the row with its keys."""
    arrays = _arrays(statement, (*statement.columns, *statement.keys))
    names = [f"new_{name}" for name in statement.columns]
    names += [f"the_{name}" for name in statement.keys]
    found = " AND ".join(
        f"{statement.table.name}.{name} = given.the_{name}" for name in statement.keys
    )
    return f"unnest({arrays}) AS given ({', '.join(names)}) WHERE {found}"


def _arrays(statement: Statement, names: tuple[str, ...]) -> str:
    return ", ".join(f"${at}::{_type_of(statement, name)}[]" for at, name in enumerate(names, 1))


def _type_of(statement: Statement, name: str) -> str:
    kind = statement.table.c[name].type
    return next(text for known, text in _TYPES if isinstance(kind, known))


def _conflict(statement: Statement) -> str:
    if statement.action is Action.INSERT:
        return ""
    keys = ", ".join(statement.keys)
    others = [name for name in statement.columns if name not in statement.keys]
    table = statement.table.name
    if statement.action is Action.PUT:
        replaced = ", ".join(f"{name} = excluded.{name}" for name in others)
    else:
        replaced = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in others)
    return f" ON CONFLICT ({keys}) DO UPDATE SET {replaced}"
