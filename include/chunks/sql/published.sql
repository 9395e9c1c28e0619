-- What is published of the run's day: a row for each partition. Rendered by Airflow, with a macro of the DAG.
SELECT 'flights' AS layer, origin, carrier, count() AS flights
FROM warehouse.chunk_flights
WHERE flight_date = toDate('{{ local_day(data_interval_start) }}')
GROUP BY origin, carrier
UNION ALL
SELECT 'daily_delays' AS layer, origin, carrier, sum(flights) AS flights
FROM warehouse.chunk_daily_delays
WHERE flight_date = toDate('{{ local_day(data_interval_start) }}')
GROUP BY origin, carrier
