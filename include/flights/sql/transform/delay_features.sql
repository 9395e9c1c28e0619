-- What is known of a flight before it departs, for a model that predicts `late` (arrives more than 15 minutes late;
-- NULL: never arrived, or not recorded). Nothing here may come from after the scheduled departure.
SELECT /*+ BROADCAST(hours) */
    flight_date,
    sched_dep_utc,
    carrier,
    flight,
    f.origin,
    dest,
    month(flight_date)                                                              AS month,
    weekday(flight_date) + 1                                                        AS weekday,  -- Monday = 1
    hour(from_utc_timestamp(sched_dep_utc, 'America/New_York')) * 60
        + minute(sched_dep_utc)                                                     AS local_minute,
    int((unix_timestamp(sched_arr_utc) - unix_timestamp(sched_dep_utc)) DIV 60)     AS sched_minutes,
    distance,
    departures_in_hour,
    temp,
    wind_speed,
    precip,
    visib,
    year(flight_date) - plane_year                                                  AS plane_age,
    plane_seats,
    arr_delay > 15                                                                  AS late
FROM flights AS f
-- Counted and joined: a window would sort all flights for it.
INNER JOIN (
    SELECT origin, date_trunc('HOUR', sched_dep_utc) AS hour, count(*) AS departures_in_hour
    FROM flights
    GROUP BY origin, hour
) AS hours ON hours.origin = f.origin AND hours.hour = date_trunc('HOUR', f.sched_dep_utc)
