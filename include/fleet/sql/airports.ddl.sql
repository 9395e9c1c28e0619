CREATE TABLE IF NOT EXISTS warehouse.fleet_airports
(
    flight_date    Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    rollup         LowCardinality(String)  COMMENT 'which carriers are added up: a roll-up of include/fleet/fleet.yaml',
    origin         LowCardinality(String)  COMMENT 'departure airport, FAA code',
    carriers       UInt16                  COMMENT 'carriers with a flight from there on that day',
    flights        UInt32                  COMMENT 'scheduled flights',
    cancelled      UInt32                  COMMENT 'of them without departure time',
    mean_dep_delay Nullable(Float64)       COMMENT 'minutes, over departed flights',
    p90_dep_delay  Nullable(Float64)       COMMENT 'minutes, exact, linear interpolation, over departed flights',
    on_time_share  Nullable(Float64)       COMMENT 'arr_delay <= 15, over flights with an arr_delay'
)
ENGINE = MergeTree
PARTITION BY (flight_date, rollup)
ORDER BY (flight_date, rollup, origin)
