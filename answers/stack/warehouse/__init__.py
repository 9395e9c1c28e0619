"""Serves the embedded warehouse: one process holds chDB, ClickHouse's engine, and speaks ClickHouse's HTTP interface on loopback.

It speaks the subset that clickhouse-connect and this project's SQL need: `/ping`; a statement in the URL, the body or a form, with
`param_*`, settings and `database`; sessions with temporary tables; every output format; `INSERT … FORMAT` whose data are streamed in;
compressed requests and answers; errors as text with their code; a memory limit a query; queries that end with their client, or by
`KILL QUERY WHERE query_id = '…'`. It has no TLS, no users but one, no external data and no progress headers. A result of a format
that is no sequence of rows (JSON, Parquet, Arrow) is made in memory.
"""
