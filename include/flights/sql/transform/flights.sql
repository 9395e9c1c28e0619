-- One row a flight: typed, in UTC, with the weather at its scheduled hour and what is known of its aircraft.
-- Inputs (text as received): feed_flights, feed_weather, feed_planes, feed_airports. Session time zone: UTC, so a
-- TIMESTAMP can stand for a wall clock until to_utc_timestamp reads it in a zone.
-- A wall clock is converted once, however many flights have it: the texts of dates and clocks are the keys of two small tables,
-- one of departures and one of arrivals, of a row for each airport and minute at most. Both are joined to the many flights.
WITH departures AS (
    SELECT
        *,
        make_date(int(year), int(month), int(day))                                          AS flight_date,
        timestamp(time_hour) + make_dt_interval(0, 0, int(sched_dep_time) % 100)            AS dep_said
    FROM (SELECT DISTINCT origin, time_hour, year, month, day, sched_dep_time FROM feed_flights)
),
departures_in_utc AS (
    SELECT
        *,
        -- A wall clock that happens twice (the end of daylight saving time) is decided by the feed's own UTC hour.
        CASE
            WHEN from_utc_timestamp(dep_said, 'America/New_York') = dep_wall
            THEN dep_said
            ELSE to_utc_timestamp(dep_wall, 'America/New_York')
        END AS sched_dep_utc
    FROM (
        SELECT
            *,
            timestamp(flight_date)
                + make_dt_interval(0, int(sched_dep_time) DIV 100, int(sched_dep_time) % 100) AS dep_wall
        FROM departures
    )
),
arrivals AS (
    SELECT
        c.*,
        to_utc_timestamp(c.arr_wall, a.tzone)                       AS same_day,
        to_utc_timestamp(c.arr_wall + INTERVAL 1 DAY, a.tzone)      AS next_day
    FROM (
        SELECT
            *,
            timestamp(make_date(int(year), int(month), int(day)))
                + make_dt_interval(0, int(sched_arr_time) DIV 100, int(sched_arr_time) % 100) AS arr_wall
        FROM (SELECT DISTINCT dest, year, month, day, sched_arr_time FROM feed_flights)
    ) AS c
    INNER JOIN feed_airports AS a ON a.faa = c.dest
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
),
departures_in_weather AS (
    SELECT
        d.*,
        w.temp,
        w.dewp,
        w.humid,
        w.wind_dir,
        w.wind_speed,
        w.wind_gust,
        w.precip,
        w.pressure,
        w.visib,
        w.origin IS NOT NULL    AS weather_known
    FROM departures_in_utc AS d
    LEFT JOIN weather AS w ON w.origin = d.origin AND w.hour_utc = date_trunc('HOUR', d.sched_dep_utc)
)
SELECT /*+ BROADCAST(d, a) */
    d.flight_date,
    f.carrier,
    int(f.flight)               AS flight,
    f.tailnum,
    f.origin,
    f.dest,
    d.sched_dep_utc,
    -- Read in the destination's zone, on the next day when it would lie before the departure; NULL: zone unknown.
    CASE WHEN a.same_day < d.sched_dep_utc THEN a.next_day ELSE a.same_day END AS sched_arr_utc,
    int(f.dep_delay)            AS dep_delay,
    int(f.arr_delay)            AS arr_delay,
    int(f.air_time)             AS air_time,
    int(f.distance)             AS distance,
    f.dep_time IS NULL          AS cancelled,
    d.temp,
    d.dewp,
    d.humid,
    d.wind_dir,
    d.wind_speed,
    d.wind_gust,
    d.precip,
    d.pressure,
    d.visib,
    p.year                      AS plane_year,
    p.manufacturer              AS plane_manufacturer,
    p.model                     AS plane_model,
    p.engines                   AS plane_engines,
    p.seats                     AS plane_seats,
    d.weather_known,
    p.tailnum IS NOT NULL       AS plane_known,
    f.source_row
FROM feed_flights AS f
LEFT JOIN departures_in_weather AS d USING (origin, time_hour, year, month, day, sched_dep_time)
LEFT JOIN arrivals AS a
    ON a.dest = f.dest AND a.year = f.year AND a.month = f.month AND a.day = f.day AND a.sched_arr_time = f.sched_arr_time
LEFT JOIN planes AS p ON p.tailnum = f.tailnum
