-- Punctuality per day, airport and carrier. Delays in minutes; shares from 0 to 1; NULL where nothing was observed.
SELECT
    flight_date,
    origin,
    carrier,
    count(*)                                                        AS flights,
    count_if(cancelled)                                             AS cancelled,
    avg(dep_delay) FILTER (WHERE NOT cancelled)                     AS mean_dep_delay,
    percentile(dep_delay, 0.9) FILTER (WHERE NOT cancelled)         AS p90_dep_delay,  -- exact, linear interpolation
    count_if(arr_delay <= 15) / nullif(count(arr_delay), 0)         AS on_time_share
FROM flights
GROUP BY flight_date, origin, carrier
