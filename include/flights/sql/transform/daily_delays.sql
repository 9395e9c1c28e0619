-- Punctuality per day, airport and carrier. Delays in minutes; shares from 0 to 1; NULL where nothing was observed.
-- Flights of one delay are counted first: an exact percentile of a few hundred counts is cheaper than one of all flights.
WITH counts AS (
    SELECT
        flight_date,
        origin,
        carrier,
        cancelled,
        dep_delay,
        count(*)                    AS flights,
        count(arr_delay)            AS arrived,
        count_if(arr_delay <= 15)   AS on_time
    FROM flights
    GROUP BY flight_date, origin, carrier, cancelled, dep_delay
)
SELECT
    flight_date,
    origin,
    carrier,
    sum(flights)                                                                        AS flights,
    sum(if(cancelled, flights, 0))                                                      AS cancelled,
    sum(dep_delay * flights) FILTER (WHERE NOT cancelled)
        / sum(flights) FILTER (WHERE NOT cancelled AND dep_delay IS NOT NULL)           AS mean_dep_delay,
    percentile(dep_delay, 0.9, flights) FILTER (WHERE NOT cancelled)                    AS p90_dep_delay,  -- exact, linear interpolation
    sum(on_time) / nullif(sum(arrived), 0)                                              AS on_time_share
FROM counts
GROUP BY flight_date, origin, carrier
