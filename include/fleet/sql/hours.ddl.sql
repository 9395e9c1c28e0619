CREATE TABLE IF NOT EXISTS warehouse.fleet_hours
(
    flight_date    Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    rollup         LowCardinality(String)  COMMENT 'which carriers are added up: a roll-up of include/fleet/fleet.yaml',
    hour           UInt8                   COMMENT 'New York time of the scheduled departure',
    flights        UInt32                  COMMENT 'scheduled flights',
    cancelled      UInt32                  COMMENT 'of them without departure time',
    mean_dep_delay Nullable(Float64)       COMMENT 'minutes, over departed flights'
)
ENGINE = MergeTree
PARTITION BY (flight_date, rollup)
ORDER BY (flight_date, rollup, hour)
