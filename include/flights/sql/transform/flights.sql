-- One row a flight: typed, in UTC, with the weather at its scheduled hour and what is known of its aircraft.
-- Inputs (text as received): feed_flights, feed_weather, feed_planes, feed_airports. Session time zone: UTC, so a
-- TIMESTAMP can stand for a wall clock until to_utc_timestamp reads it in a zone.
WITH typed AS (
    SELECT
        source_row,
        make_date(int(year), int(month), int(day))                      AS flight_date,
        carrier,
        int(flight)                                                     AS flight,
        tailnum,
        origin,
        dest,
        int(sched_dep_time)                                             AS dep_clock,
        int(sched_arr_time)                                             AS arr_clock,
        timestamp(time_hour)                                            AS dep_hour_utc,
        int(dep_delay)                                                  AS dep_delay,
        int(arr_delay)                                                  AS arr_delay,
        int(air_time)                                                   AS air_time,
        int(distance)                                                   AS distance,
        dep_time IS NULL                                                AS cancelled
    FROM feed_flights
),
departures AS (
    SELECT
        *,
        timestamp(flight_date) + make_dt_interval(0, dep_clock DIV 100, dep_clock % 100) AS dep_wall,
        timestamp(flight_date) + make_dt_interval(0, arr_clock DIV 100, arr_clock % 100) AS arr_wall
    FROM typed
),
in_utc AS (
    SELECT
        *,
        -- A wall clock that happens twice (the end of daylight saving time) is decided by the feed's own UTC hour.
        CASE
            WHEN from_utc_timestamp(dep_hour_utc + make_dt_interval(0, 0, dep_clock % 100), 'America/New_York') = dep_wall
            THEN dep_hour_utc + make_dt_interval(0, 0, dep_clock % 100)
            ELSE to_utc_timestamp(dep_wall, 'America/New_York')
        END AS sched_dep_utc
    FROM departures
),
-- Numbers are read of the few records here, before they are joined to the many flights.
weather AS (
    SELECT
        origin,
        timestamp(time_hour)    AS hour_utc,
        double(temp)            AS temp,
        double(dewp)            AS dewp,
        double(humid)           AS humid,
        double(wind_dir)        AS wind_dir,
        double(wind_speed)      AS wind_speed,
        double(wind_gust)       AS wind_gust,
        double(precip)          AS precip,
        double(pressure)        AS pressure,
        double(visib)           AS visib
    FROM feed_weather
),
planes AS (
    SELECT
        tailnum,
        int(year)               AS year,
        manufacturer,
        model,
        int(engines)            AS engines,
        int(seats)              AS seats
    FROM feed_planes
)
SELECT
    f.flight_date,
    f.carrier,
    f.flight,
    f.tailnum,
    f.origin,
    f.dest,
    f.sched_dep_utc,
    -- Read in the destination's zone, on the next day when it would lie before the departure; NULL: zone unknown.
    CASE
        WHEN to_utc_timestamp(f.arr_wall, a.tzone) < f.sched_dep_utc
        THEN to_utc_timestamp(f.arr_wall + INTERVAL 1 DAY, a.tzone)
        ELSE to_utc_timestamp(f.arr_wall, a.tzone)
    END                         AS sched_arr_utc,
    f.dep_delay,
    f.arr_delay,
    f.air_time,
    f.distance,
    f.cancelled,
    w.temp,
    w.dewp,
    w.humid,
    w.wind_dir,
    w.wind_speed,
    w.wind_gust,
    w.precip,
    w.pressure,
    w.visib,
    p.year                      AS plane_year,
    p.manufacturer              AS plane_manufacturer,
    p.model                     AS plane_model,
    p.engines                   AS plane_engines,
    p.seats                     AS plane_seats,
    w.origin IS NOT NULL        AS weather_known,
    p.tailnum IS NOT NULL       AS plane_known,
    f.source_row
FROM in_utc AS f
LEFT JOIN weather AS w ON w.origin = f.origin AND w.hour_utc = date_trunc('HOUR', f.sched_dep_utc)
LEFT JOIN planes AS p ON p.tailnum = f.tailnum
LEFT JOIN feed_airports AS a ON a.faa = f.dest
