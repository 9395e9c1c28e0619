CREATE TABLE IF NOT EXISTS warehouse.fleet_scorecard
(
    flight_date    Date                    COMMENT 'local date of the scheduled departure (America/New_York)',
    place          UInt8                   COMMENT '1: the most punctual; carriers without an arrival come last',
    carrier        LowCardinality(String)  COMMENT 'airline, IATA code',
    flights        UInt32                  COMMENT 'scheduled flights',
    on_time_share  Nullable(Float64)       COMMENT 'arr_delay <= 15, over flights with an arr_delay'
)
ENGINE = MergeTree
PARTITION BY flight_date
ORDER BY (flight_date, place)
