CREATE TABLE IF NOT EXISTS warehouse.fleet_reports
(
    flight_date     Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    carrier         LowCardinality(String)  COMMENT 'airline, IATA code',
    flights         UInt32                  COMMENT 'scheduled flights',
    cancelled       UInt32                  COMMENT 'of them without departure time',
    destinations    UInt16                  COMMENT 'different ones',
    mean_dep_delay  Nullable(Float64)       COMMENT 'minutes, over departed flights',
    worst_dep_delay Nullable(Int32)         COMMENT 'minutes',
    on_time_share   Nullable(Float64)       COMMENT 'arr_delay <= 15, over flights with an arr_delay'
)
ENGINE = MergeTree
PARTITION BY (flight_date, carrier)
ORDER BY (flight_date, carrier)
