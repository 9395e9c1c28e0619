-- One row a message that was handled, whatever became of it. A message that is handled again, by a retry or by two runs
-- at once, has the same key: readers see one row of it (FINAL).
CREATE TABLE IF NOT EXISTS warehouse.flight_status_inbox
(
    topic      LowCardinality(String),
    topic_id   LowCardinality(String) COMMENT 'another one when the topic was deleted and made again: offsets begin anew',
    partition  UInt16,
    offset     UInt64,
    outcome    Enum8('applied' = 1, 'dead' = 2),
    reason     String COMMENT 'of a dead letter',
    event_id   String,
    flight     String,
    status     LowCardinality(String),
    at         Nullable(DateTime64(3, 'UTC')),
    run_id     String COMMENT 'of the run that handled it',
    handled_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, topic_id, partition, offset)
