SELECT
    flight_date,
    row_number() OVER (PARTITION BY flight_date ORDER BY on_time_share DESC NULLS LAST, carrier)  AS place,
    carrier,
    flights,
    on_time_share
FROM (
    SELECT flight_date, carrier, count() AS flights, avgOrNullIf(arr_delay <= 15, arr_delay IS NOT NULL) AS on_time_share
    FROM warehouse.carrier_flights
    WHERE flight_date BETWEEN {first:Date} AND {last:Date} AND has({carriers:Array(String)}, carrier)
    GROUP BY flight_date, carrier
)
