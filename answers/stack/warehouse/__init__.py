"""Serves the embedded warehouse: one process holds chDB, ClickHouse's engine, and speaks ClickHouse's HTTP interface on loopback.

It speaks the subset that clickhouse-connect and this project's SQL need: `/ping`; a statement in the URL, the body or a form,
with `param_*`, settings and `database`; sessions with temporary tables; every output format; `INSERT … FORMAT` whose data are
streamed in; compressed requests and answers; errors as text with their code; a memory limit a query; queries that end with their
client, or by `KILL QUERY WHERE query_id = '…'`.

It has one user, and no TLS, external data or progress headers. A result in a format that is no sequence of rows (JSON, Parquet,
Arrow) is made in memory. A column `DateTime('America/New_York')` loses its zone on the way, as chDB writes Native for the oldest
clients; its instants are right, and DateTime64 keeps it.
"""
