"""Many rows into one table, at the price of a few."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, insert, text
from sqlalchemy.sql.schema import ScalarElementColumnDefault

#: From so many rows on it pays to send them as one document.
MANY = 20


def insert_rows(db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns; for those they leave out the table's defaults
    hold, which must be constants."""
    if db.dialect.name != "postgresql" or len(rows) < MANY:
        db.execute(insert(table), rows)
        return
    # Postgres takes the document apart in its own process: a parameter for each value of each row
    # would cost ours five times as much.
    base = json.dumps(_constants(table))
    db.execute(_from_document(table), {"base": base, "rows": json.dumps(rows, default=str)})


@cache
def _constants(table: Table) -> dict[str, Any]:
    """What the columns hold where a row says nothing."""
    return {
        column.name: default.arg
        for column in table.columns
        if isinstance(default := column.default, ScalarElementColumnDefault)
    }


@cache
def _from_document(table: Table) -> TextClause:
    written = ", ".join(
        f'"{column.name}"'
        for column in table.columns
        if column.computed is None and column is not table.autoincrement_column
    )
    return text(
        f"INSERT INTO {table.name} ({written}) SELECT {written} FROM json_populate_recordset("
        f"json_populate_record(NULL::{table.name}, CAST(:base AS json)), CAST(:rows AS json))"
    )
