-- From the flights, not from the carriers' means: a mean of means or of quantiles is neither.
SELECT
    flight_date,
    {rollup:String}                                                      AS rollup,
    origin,
    uniqExact(carrier)                                                   AS carriers,
    count()                                                              AS flights,
    countIf(f.cancelled)                                                 AS cancelled,
    avgOrNullIf(f.dep_delay, NOT f.cancelled)                            AS mean_dep_delay,
    quantileExactInclusiveOrNullIf(0.9)(f.dep_delay, NOT f.cancelled)    AS p90_dep_delay,
    avgOrNullIf(arr_delay <= 15, arr_delay IS NOT NULL)                  AS on_time_share
FROM warehouse.carrier_flights AS f
WHERE flight_date BETWEEN {first:Date} AND {last:Date} AND has({carriers:Array(String)}, carrier)
GROUP BY flight_date, origin
