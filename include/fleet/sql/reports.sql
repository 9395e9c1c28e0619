SELECT
    flight_date,
    carrier,
    count()                                                              AS flights,
    countIf(f.cancelled)                                                 AS cancelled,
    uniqExact(dest)                                                      AS destinations,
    avgOrNullIf(f.dep_delay, NOT f.cancelled)                            AS mean_dep_delay,
    max(dep_delay)                                                       AS worst_dep_delay,
    avgOrNullIf(arr_delay <= 15, arr_delay IS NOT NULL)                  AS on_time_share
FROM warehouse.carrier_flights AS f
WHERE flight_date BETWEEN {first:Date} AND {last:Date} AND carrier = {carrier:String}
GROUP BY flight_date, carrier
