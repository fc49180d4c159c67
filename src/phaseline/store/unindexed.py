"""Columns that SQLite shall not look up in an index, where it would guess wrong which is best."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

T = TypeVar("T")


class _Unindexed(FunctionElement[T]):
    inherit_cache = True


def unindexed(column: ColumnElement[T]) -> ColumnElement[T]:
    """Return *column*, to be looked at in the rows that are found otherwise."""
    element: _Unindexed[T] = _Unindexed(column)
    element.type = column.type
    return element


@compiles(_Unindexed)
def _plain(element: _Unindexed[Any], compiler: SQLCompiler, **options: Any) -> str:
    # PostgreSQL knows its tables, and guesses well.
    return compiler.process(element.clauses, **options)


@compiles(_Unindexed, "sqlite")
def _with_plus(element: _Unindexed[Any], compiler: SQLCompiler, **options: Any) -> str:
    return "+" + compiler.process(element.clauses, **options)
