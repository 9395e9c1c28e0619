-- One row a flight, as ../transform/flights.sql makes it, in ClickHouse's SQL. Inputs (text as received): feed_flights,
-- feed_weather, feed_planes, feed_airports. A wall clock is held as a DateTime in UTC until `instant` reads it in a zone.
WITH
    -- toInt32 of a Nullable(String) that is no number is NULL, without a word; of a String it is an error.
    text -> if(text IS NULL, NULL, toInt32(assumeNotNull(text))) AS to_integer,
    text -> if(text IS NULL, NULL, toFloat64(assumeNotNull(text))) AS to_float,
    text -> parseDateTime(assumeNotNull(text), '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS to_hour,
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
            if(wall(said, 'America/New_York') = dep_wall, said, instant(dep_wall, 'America/New_York')) AS sched_dep_utc
        FROM feed_flights
    ),
    arriving AS (
        SELECT
            t.*,
            a.tzone                         AS tzone,
            ifNull(a.tzone, 'UTC')          AS zone,
            instant(t.arr_wall, zone)       AS same_day
        FROM typed AS t
        LEFT JOIN feed_airports AS a ON a.faa = t.dest
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
    multiIf(
        f.tzone IS NULL, NULL,
        f.same_day < f.sched_dep_utc, instant(f.arr_wall + 86400, f.zone),
        f.same_day
    )                               AS sched_arr_utc,
    f.dep_delay                     AS dep_delay,
    f.arr_delay                     AS arr_delay,
    f.air_time                      AS air_time,
    f.distance                      AS distance,
    f.cancelled                     AS cancelled,
    to_float(w.temp)                AS temp,
    to_float(w.dewp)                AS dewp,
    to_float(w.humid)               AS humid,
    to_float(w.wind_dir)            AS wind_dir,
    to_float(w.wind_speed)          AS wind_speed,
    to_float(w.wind_gust)           AS wind_gust,
    to_float(w.precip)              AS precip,
    to_float(w.pressure)            AS pressure,
    to_float(w.visib)               AS visib,
    to_integer(p.year)              AS plane_year,
    p.manufacturer                  AS plane_manufacturer,
    p.model                         AS plane_model,
    to_integer(p.engines)           AS plane_engines,
    to_integer(p.seats)             AS plane_seats,
    w.origin IS NOT NULL            AS weather_known,
    p.tailnum IS NOT NULL           AS plane_known,
    f.source_row                    AS source_row
FROM arriving AS f
LEFT JOIN (SELECT *, to_hour(time_hour) AS hour_utc FROM feed_weather) AS w
    ON w.origin = f.origin AND w.hour_utc = toStartOfHour(f.sched_dep_utc)
LEFT JOIN feed_planes AS p ON p.tailnum = f.tailnum
