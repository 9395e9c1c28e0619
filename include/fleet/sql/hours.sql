SELECT
    flight_date,
    {rollup:String}                                                      AS rollup,
    toHour(toTimeZone(sched_dep_utc, 'America/New_York'))                AS hour,
    count()                                                              AS flights,
    countIf(f.cancelled)                                                 AS cancelled,
    avgOrNullIf(f.dep_delay, NOT f.cancelled)                            AS mean_dep_delay
FROM warehouse.carrier_flights AS f
WHERE flight_date BETWEEN {first:Date} AND {last:Date} AND has({carriers:Array(String)}, carrier)
GROUP BY flight_date, hour
