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
    count() OVER (PARTITION BY origin, toStartOfHour(sched_dep_utc))                    AS departures_in_hour,
    temp,
    wind_speed,
    precip,
    visib,
    toYear(flight_date) - plane_year                                                    AS plane_age,
    plane_seats,
    arr_delay > 15                                                                      AS late
FROM flights
