-- What is known of a flight before it departs, for a model that predicts `late` (arrives more than 15 minutes late;
-- NULL: never arrived, or not recorded). Nothing here may come from after the scheduled departure.
SELECT /*+ BROADCAST(d) */
    f.flight_date,
    f.sched_dep_utc,
    carrier,
    flight,
    f.origin,
    dest,
    d.month,
    d.weekday,
    d.local_minute,
    int((unix_timestamp(sched_arr_utc) - unix_timestamp(f.sched_dep_utc)) DIV 60)   AS sched_minutes,
    distance,
    d.departures_in_hour,
    temp,
    wind_speed,
    precip,
    visib,
    d.year - plane_year                                                             AS plane_age,
    plane_seats,
    arr_delay > 15                                                                  AS late
FROM flights AS f
-- Counted and joined, by the few minutes in which flights depart: a window over all flights would sort them.
INNER JOIN (
    SELECT
        flight_date,
        origin,
        sched_dep_utc,
        year(flight_date)                                                           AS year,
        month(flight_date)                                                          AS month,
        weekday(flight_date) + 1                                                    AS weekday,  -- Monday = 1
        hour(from_utc_timestamp(sched_dep_utc, 'America/New_York')) * 60
            + minute(sched_dep_utc)                                                 AS local_minute,
        sum(count(*)) OVER (PARTITION BY origin, date_trunc('HOUR', sched_dep_utc)) AS departures_in_hour
    FROM flights
    GROUP BY flight_date, origin, sched_dep_utc
) AS d ON d.flight_date = f.flight_date AND d.origin = f.origin AND d.sched_dep_utc = f.sched_dep_utc
