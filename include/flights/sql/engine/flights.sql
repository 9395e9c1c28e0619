-- One row a flight, as ../transform/flights.sql makes it, in ClickHouse's SQL. Inputs (text as received): feed_flights,
-- feed_weather, feed_planes, feed_airports. A wall clock is held as a DateTime in UTC until `instant` reads it in a zone.
WITH
    -- toInt32 of a Nullable(String) that is no number is NULL, without a word; of a String it is an error.
    text -> if(text IS NULL, NULL, toInt32(assumeNotNull(text))) AS to_integer,
    text -> if(text IS NULL, NULL, toFloat64(assumeNotNull(text))) AS to_float,
    text -> parseDateTimeBestEffort(assumeNotNull(text), 'UTC') AS to_hour,  -- parseDateTime takes twenty times as long
    (utc, zone) -> toDateTime(toString(utc, zone), 'UTC') AS wall,
    -- The offset in force a day before, if the clock shows that time with it (twice shown: the first time), else a day after;
    -- a time that the clock skips is read with the offset before. As java.time.ZonedDateTime does, and so Spark.
    (clock, zone) -> clock - (wall(clock - 86400, zone) - (clock - 86400)) AS before,
    (clock, zone) -> clock - (wall(clock + 86400, zone) - (clock + 86400)) AS after,
    (clock, zone) -> if(
        wall(before(clock, zone), zone) != clock AND wall(after(clock, zone), zone) = clock,
        after(clock, zone),
        before(clock, zone)
    ) AS instant,
    typed AS (
        SELECT
            source_row,
            makeDate(to_integer(year), to_integer(month), to_integer(day))      AS flight_date,
            carrier,
            to_integer(flight)                                                  AS flight,
            tailnum,
            origin,
            dest,
            to_integer(sched_dep_time)                                          AS dep_clock,
            to_integer(sched_arr_time)                                          AS arr_clock,
            to_hour(time_hour)                                                  AS dep_hour_utc,
            to_integer(dep_delay)                                               AS dep_delay,
            to_integer(arr_delay)                                               AS arr_delay,
            to_integer(air_time)                                                AS air_time,
            to_integer(distance)                                                AS distance,
            dep_time IS NULL                                                    AS cancelled,
            toDateTime(flight_date, 'UTC')                                      AS midnight,
            midnight + intDiv(dep_clock, 100) * 3600 + dep_clock % 100 * 60     AS dep_wall,
            midnight + intDiv(arr_clock, 100) * 3600 + arr_clock % 100 * 60     AS arr_wall,
            dep_hour_utc + dep_clock % 100 * 60                                 AS said,
            -- A wall clock that happens twice (the end of daylight saving time) is decided by the feed's own UTC hour.
            if(said + timeZoneOffset(toTimeZone(said, 'America/New_York')) = dep_wall, said, instant(dep_wall, 'America/New_York')) AS sched_dep_utc
        FROM feed_flights
    ),
    -- A clock time in a zone is converted once, however many flights arrive then.
    arrivals AS (
        SELECT
            t.dest                              AS dest,
            t.arr_wall                          AS arr_wall,
            assumeNotNull(a.tzone)              AS zone,
            instant(arr_wall, zone)             AS same_day,
            instant(arr_wall + 86400, zone)     AS next_day
        FROM (SELECT DISTINCT dest, arr_wall FROM typed) AS t
        INNER JOIN feed_airports AS a ON a.faa = t.dest
        WHERE a.tzone IS NOT NULL
    ),
    -- Numbers are read of the few records here, before they are joined to the many flights.
    weather AS (
        SELECT
            origin,
            to_hour(time_hour)      AS hour_utc,
            to_float(temp)          AS temp,
            to_float(dewp)          AS dewp,
            to_float(humid)         AS humid,
            to_float(wind_dir)      AS wind_dir,
            to_float(wind_speed)    AS wind_speed,
            to_float(wind_gust)     AS wind_gust,
            to_float(precip)        AS precip,
            to_float(pressure)      AS pressure,
            to_float(visib)         AS visib
        FROM feed_weather
    ),
    planes AS (
        SELECT
            tailnum,
            to_integer(year)        AS year,
            manufacturer,
            model,
            to_integer(engines)     AS engines,
            to_integer(seats)       AS seats
        FROM feed_planes
    )
SELECT
    f.flight_date                   AS flight_date,
    f.carrier                       AS carrier,
    f.flight                        AS flight,
    f.tailnum                       AS tailnum,
    f.origin                        AS origin,
    f.dest                          AS dest,
    f.sched_dep_utc                 AS sched_dep_utc,
    -- Read in the destination's zone, on the next day when it would lie before the departure; NULL: zone unknown.
    if(a.same_day < f.sched_dep_utc, a.next_day, a.same_day) AS sched_arr_utc,
    f.dep_delay                     AS dep_delay,
    f.arr_delay                     AS arr_delay,
    f.air_time                      AS air_time,
    f.distance                      AS distance,
    f.cancelled                     AS cancelled,
    w.temp                          AS temp,
    w.dewp                          AS dewp,
    w.humid                         AS humid,
    w.wind_dir                      AS wind_dir,
    w.wind_speed                    AS wind_speed,
    w.wind_gust                     AS wind_gust,
    w.precip                        AS precip,
    w.pressure                      AS pressure,
    w.visib                         AS visib,
    p.year                          AS plane_year,
    p.manufacturer                  AS plane_manufacturer,
    p.model                         AS plane_model,
    p.engines                       AS plane_engines,
    p.seats                         AS plane_seats,
    w.origin IS NOT NULL            AS weather_known,
    p.tailnum IS NOT NULL           AS plane_known,
    f.source_row                    AS source_row
FROM typed AS f
LEFT JOIN arrivals AS a ON a.dest = f.dest AND a.arr_wall = f.arr_wall
LEFT JOIN weather AS w
    ON w.origin = f.origin AND w.hour_utc = toStartOfHour(f.sched_dep_utc)
LEFT JOIN planes AS p ON p.tailnum = f.tailnum
