-- What is known of a flight before it departs, for a model that predicts `late` (arrives more than 15 minutes late;
-- NULL: never arrived, or not recorded). Nothing here may come from after the scheduled departure.
SELECT
    flight_date,
    sched_dep_utc,
    carrier,
    flight,
    origin,
    dest,
    month(flight_date)                                                              AS month,
    weekday(flight_date) + 1                                                        AS weekday,  -- Monday = 1
    hour(from_utc_timestamp(sched_dep_utc, 'America/New_York')) * 60
        + minute(sched_dep_utc)                                                     AS local_minute,
    int((unix_timestamp(sched_arr_utc) - unix_timestamp(sched_dep_utc)) DIV 60)     AS sched_minutes,
    distance,
    count(*) OVER (PARTITION BY origin, date_trunc('HOUR', sched_dep_utc))          AS departures_in_hour,
    temp,
    wind_speed,
    precip,
    visib,
    year(flight_date) - plane_year                                                  AS plane_age,
    plane_seats,
    arr_delay > 15                                                                  AS late
FROM flights
