-- What is known of a flight before it departs, as ../transform/delay_features.sql makes it.
SELECT
    flight_date,
    sched_dep_utc,
    carrier,
    flight,
    origin,
    dest,
    toMonth(flight_date)                                                                AS month,
    toDayOfWeek(flight_date)                                                            AS weekday,
    toHour(sched_dep_utc, 'America/New_York') * 60 + toMinute(sched_dep_utc)            AS local_minute,
    intDiv(toInt64(sched_arr_utc) - toInt64(sched_dep_utc), 60)                         AS sched_minutes,
    distance,
    departures_in_hour,
    temp,
    wind_speed,
    precip,
    visib,
    toYear(flight_date) - plane_year                                                    AS plane_age,
    plane_seats,
    arr_delay > 15                                                                      AS late
FROM flights
-- Counted and joined: a window would sort all flights for it.
INNER JOIN (
    SELECT origin, toStartOfHour(sched_dep_utc) AS hour, count() AS departures_in_hour
    FROM flights
    GROUP BY origin, hour
) AS hours ON hours.origin = flights.origin AND hours.hour = toStartOfHour(flights.sched_dep_utc)
