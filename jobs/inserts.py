"""Many rows into one table, and what follows from them, at the price of a few statements."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, insert, text
from sqlalchemy.sql.schema import ScalarElementColumnDefault


def insert_rows(
    db: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, then: str
) -> None:
    """Insert rows that all name the same columns, `id` among them, and run a statement on them.

    For columns that the rows leave out the table's defaults hold, which must be constants. The
    statement finds the rows under the name of `new`.
    """
    if db.dialect.name == "sqlite":
        db.execute(insert(table), rows)
        db.execute(_on_inserted(table, then), {"ids": json.dumps([row["id"] for row in rows])})
        return
    # Postgres takes the document apart in its own process: a parameter for each value of each row
    # would cost ours five times as much.
    shared = _shared(rows)
    own = [name for name in rows[0] if name not in shared]
    base = json.dumps(_constants(table) | shared, default=str)
    document = json.dumps([{name: row[name] for name in own} for row in rows], default=str)
    db.execute(_from_document(table, then), {"base": base, "rows": document})


def _shared(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all rows have in common, which then is written and read once.

    Only what is the same object: 1, 1.0 and True are equal, and different JSON.
    """
    first = rows[0].items()
    return {name: value for name, value in first if all(row[name] is value for row in rows)}


@cache
def _constants(table: Table) -> dict[str, Any]:
    """What the columns hold where a row says nothing."""
    return {
        column.name: default.arg
        for column in table.columns
        if isinstance(default := column.default, ScalarElementColumnDefault)
    }


@cache
def _from_document(table: Table, then: str) -> TextClause:
    written = ", ".join(
        f'"{column.name}"'
        for column in table.columns
        if column.computed is None and column is not table.autoincrement_column
    )
    return text(
        f"WITH new AS (INSERT INTO {table.name} ({written}) SELECT {written} "
        f"FROM json_populate_recordset(json_populate_record(NULL::{table.name}, "
        f"CAST(:base AS json)), CAST(:rows AS json)) RETURNING *) {then}"
    )


@cache
def _on_inserted(table: Table, then: str) -> TextClause:
    inserted = f"SELECT * FROM {table.name} WHERE id IN (SELECT value FROM json_each(:ids))"
    return text(f"WITH new AS ({inserted}) {then}")
