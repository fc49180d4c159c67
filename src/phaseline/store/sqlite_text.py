"""The statements of the writer in the words of SQLite, for as many rows as one can take."""

from __future__ import annotations

from functools import cache
from typing import assert_never

from phaseline.store.statements import Action, Statement

#: Powers of two only, so that few texts cover every number of rows and all stay prepared.
MOST_ROWS = 64


def sizes(statement: Statement, rows: int) -> list[int]:
    """Return how to cut *rows* rows up."""
    if statement.action is Action.DELETE:
        return [1] * rows
    whole, rest = divmod(rows, MOST_ROWS)
    return [MOST_ROWS] * whole + [
        1 << bit for bit in range(MOST_ROWS.bit_length()) if rest >> bit & 1
    ]


@cache
def text_for(statement: Statement, rows: int) -> str:
    """Return *statement* for that many rows, whose values are bound one after another."""
    values = _values(len(statement.bound), rows)
    table = statement.table.name
    match statement.action:
        case Action.INSERT | Action.PUT | Action.ADD:
            columns = ", ".join(statement.columns)
            return f"INSERT INTO {table} ({columns}) VALUES {values}{statement.conflict}"
        case Action.UPDATE:
            changed = ", ".join(
                f"{name} = given.column{at}" for at, name in enumerate(statement.columns, 1)
            )
            return f"UPDATE {table} SET {changed} {_from(statement, values)}"
        case Action.SUBTRACT:
            (name,) = statement.columns
            changed = f"{name} = {table}.{name} - given.column1"
            return f"UPDATE {table} SET {changed} {_from(statement, values)}"
        case Action.DELETE:
            # Of many keys together SQLite would look at every row of the table.
            assert rows == 1, "rows are removed one by one"
            return f"DELETE FROM {table} WHERE " + " AND ".join(f"{k} = ?" for k in statement.keys)
        case _:
            assert_never(statement.action)


def _values(width: int, rows: int) -> str:
    row = "(" + ", ".join("?" * width) + ")"
    return ", ".join([row] * rows)


def _from(statement: Statement, values: str) -> str:
    first = len(statement.columns) + 1
    found = " AND ".join(
        f"{statement.table.name}.{name} = given.column{at}"
        for at, name in enumerate(statement.keys, first)
    )
    return f"FROM (VALUES {values}) AS given WHERE {found}"
