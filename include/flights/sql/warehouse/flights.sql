CREATE TABLE IF NOT EXISTS warehouse.flights
(
    flight_date        Date                     COMMENT 'local date of the scheduled departure (America/New_York)',
    carrier            LowCardinality(String)   COMMENT 'airline, IATA code',
    flight             UInt32                   COMMENT 'flight number',
    tailnum            Nullable(String)         COMMENT 'registration of the aircraft',
    origin             LowCardinality(String)   COMMENT 'departure airport, FAA code',
    dest               LowCardinality(String)   COMMENT 'arrival airport, FAA code',
    sched_dep_utc      DateTime('UTC')          COMMENT 'scheduled departure',
    sched_arr_utc      Nullable(DateTime('UTC')) COMMENT 'scheduled arrival; NULL: zone of dest unknown',
    dep_delay          Nullable(Int32)          COMMENT 'minutes; NULL: cancelled',
    arr_delay          Nullable(Int32)          COMMENT 'minutes; NULL: cancelled, diverted or not recorded',
    air_time           Nullable(Int32)          COMMENT 'minutes',
    distance           UInt32                   COMMENT 'miles',
    cancelled          Bool                     COMMENT 'no departure time',
    temp               Nullable(Float64)        COMMENT 'F, at the scheduled hour, as all of the weather',
    dewp               Nullable(Float64)        COMMENT 'F',
    humid              Nullable(Float64)        COMMENT '%',
    wind_dir           Nullable(Float64)        COMMENT 'degrees',
    wind_speed         Nullable(Float64)        COMMENT 'mph',
    wind_gust          Nullable(Float64)        COMMENT 'mph',
    precip             Nullable(Float64)        COMMENT 'inches',
    pressure           Nullable(Float64)        COMMENT 'millibars',
    visib              Nullable(Float64)        COMMENT 'miles',
    plane_year         Nullable(Int32)          COMMENT 'year of manufacture',
    plane_manufacturer Nullable(String),
    plane_model        Nullable(String),
    plane_engines      Nullable(Int32),
    plane_seats        Nullable(Int32),
    weather_known      Bool                     COMMENT 'the station reported for that hour',
    plane_known        Bool                     COMMENT 'the aircraft is in the register',
    source_row         UInt64                   COMMENT 'line of the feed file'
)
ENGINE = MergeTree
PARTITION BY flight_date
ORDER BY (sched_dep_utc, carrier, flight)
