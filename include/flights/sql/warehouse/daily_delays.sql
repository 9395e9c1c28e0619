CREATE TABLE IF NOT EXISTS warehouse.daily_delays
(
    flight_date    Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    origin         LowCardinality(String)  COMMENT 'departure airport, FAA code',
    carrier        LowCardinality(String)  COMMENT 'airline, IATA code',
    flights        UInt32                  COMMENT 'scheduled flights',
    cancelled      UInt32                  COMMENT 'of them without departure time',
    mean_dep_delay Nullable(Float64)       COMMENT 'minutes, over departed flights',
    p90_dep_delay  Nullable(Float64)       COMMENT 'minutes, exact, linear interpolation, over departed flights',
    on_time_share  Nullable(Float64)       COMMENT 'arr_delay <= 15, over flights with an arr_delay'
)
ENGINE = MergeTree
PARTITION BY flight_date
ORDER BY (flight_date, origin, carrier)
