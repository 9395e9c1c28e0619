CREATE TABLE IF NOT EXISTS warehouse.delay_features
(
    flight_date        Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    sched_dep_utc      DateTime('UTC'),
    carrier            LowCardinality(String),
    flight             UInt32,
    origin             LowCardinality(String),
    dest               LowCardinality(String),
    month              UInt8,
    weekday            UInt8                   COMMENT 'Monday = 1',
    local_minute       UInt16                  COMMENT 'minute of the local day of the scheduled departure',
    sched_minutes      Nullable(Int32)         COMMENT 'scheduled duration',
    distance           UInt32                  COMMENT 'miles',
    departures_in_hour UInt32                  COMMENT 'scheduled from the same airport in the same hour',
    temp               Nullable(Float64),
    wind_speed         Nullable(Float64),
    precip             Nullable(Float64),
    visib              Nullable(Float64),
    plane_age          Nullable(Int32)         COMMENT 'years',
    plane_seats        Nullable(Int32),
    late               Nullable(Bool)          COMMENT 'arrives more than 15 minutes late; NULL: no arrival delay'
)
ENGINE = MergeTree
PARTITION BY flight_date
ORDER BY (sched_dep_utc, carrier, flight)
