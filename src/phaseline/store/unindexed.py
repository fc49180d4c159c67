"""Columns that a database shall not go along the index of, where it would guess wrong."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

T = TypeVar("T")


class _Unindexed(FunctionElement[T]):
    inherit_cache = True


class _Unsorted(_Unindexed[T]):
    inherit_cache = True


def unindexed(column: ColumnElement[T]) -> ColumnElement[T]:
    """Return *column*, to be looked at in the rows that are found otherwise."""
    element: _Unindexed[T] = _Unindexed(column)
    element.type = column.type
    return element


def unsorted(column: ColumnElement[T]) -> ColumnElement[T]:
    """
    Return *column*, by which rows that are found otherwise, and are few, are to be sorted.

    Of a limit both databases conclude that it is soon reached along the index of the order.
    """
    element: _Unsorted[T] = _Unsorted(column)
    element.type = column.type
    return element


@compiles(_Unindexed)
def _plain(element: _Unindexed[Any], compiler: SQLCompiler, **options: Any) -> str:
    # PostgreSQL knows its tables, and guesses well.
    return compiler.process(element.clauses, **options)


@compiles(_Unindexed, "sqlite")
def _with_plus(element: _Unindexed[Any], compiler: SQLCompiler, **options: Any) -> str:
    return "+" + compiler.process(element.clauses, **options)


@compiles(_Unsorted, "postgresql")
def _with_nothing(element: _Unsorted[Any], compiler: SQLCompiler, **options: Any) -> str:
    nothing = "|| ''" if isinstance(element.type, String) else "+ 0"
    return f"({compiler.process(element.clauses, **options)} {nothing})"
