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
def text_for(*statements: Statement) -> str:
    """
    Return one statement that does what all of *statements* do, and tells how many rows each did.

    They may not be about the same rows. The values of each column of their rows are bound as an
    array, one statement's after the other's.
    """
    parts, counts, bound = [], [], 0
    for at, statement in enumerate(statements):
        parts.append(f"done_{at} AS ({_text(statement, bound)} RETURNING 1)")
        counts.append(f"(SELECT count(*) FROM done_{at})")
        bound += len(statement.bound)
    return f"WITH {', '.join(parts)} SELECT {', '.join(counts)}"


def _text(statement: Statement, bound: int) -> str:
    """Return *statement* whose arrays come behind as many as are *bound* already."""
    table = statement.table.name
    match statement.action:
        case Action.INSERT | Action.PUT | Action.ADD:
            columns = ", ".join(statement.columns)
            arrays = _arrays(statement, bound)
            return (
                f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})"
                f"{statement.conflict}"
            )
        case Action.UPDATE:
            changed = ", ".join(f"{name} = given.new_{name}" for name in statement.columns)
            return f"UPDATE {table} SET {changed} FROM {_given(statement, bound)}"
        case Action.SUBTRACT:
            (name,) = statement.columns
            changed = f"{name} = {table}.{name} - given.new_{name}"
            return f"UPDATE {table} SET {changed} FROM {_given(statement, bound)}"
        case Action.DELETE:
            return f"DELETE FROM {table} USING {_given(statement, bound)}"
        case _:
            assert_never(statement.action)


def _given(statement: Statement, bound: int) -> str:
    """Return the rows that are given, and that each is about the row with its keys."""
    arrays = _arrays(statement, bound)
    names = [f"new_{name}" for name in statement.columns]
    names += [f"the_{name}" for name in statement.keys]
    found = " AND ".join(
        f"{statement.table.name}.{name} = given.the_{name}" for name in statement.keys
    )
    return f"unnest({arrays}) AS given ({', '.join(names)}) WHERE {found}"


def _arrays(statement: Statement, bound: int) -> str:
    return ", ".join(
        f"${at}::{_type_of(statement, name)}[]"
        for at, name in enumerate(statement.bound, bound + 1)
    )


def _type_of(statement: Statement, name: str) -> str:
    kind = statement.table.c[name].type
    return next(text for known, text in _TYPES if isinstance(kind, known))
