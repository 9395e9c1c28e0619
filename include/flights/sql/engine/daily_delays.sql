-- Punctuality per day, airport and carrier, as ../transform/daily_delays.sql makes it.
WITH
    arraySort(groupArrayIf(f.dep_delay, NOT f.cancelled)) AS delays,
    0.9 * (length(delays) - 1) AS at,
    delays[toUInt32(floor(at)) + 1] AS below,
    delays[toUInt32(ceil(at)) + 1] AS above
SELECT
    f.flight_date                                                       AS flight_date,
    f.origin                                                            AS origin,
    f.carrier                                                           AS carrier,
    count()                                                             AS flights,
    countIf(f.cancelled)                                                AS cancelled,
    avgOrNullIf(f.dep_delay, NOT f.cancelled)                           AS mean_dep_delay,
    -- Exact, linear interpolation, rounded as Spark rounds it.
    if(empty(delays), NULL, below + (at - floor(at)) * (above - below))  AS p90_dep_delay,
    countIf(f.arr_delay <= 15) / nullIf(count(f.arr_delay), 0)          AS on_time_share
FROM flights AS f
GROUP BY f.flight_date, f.origin, f.carrier
