-- The effects: one row an event, however often it was sent.
CREATE VIEW IF NOT EXISTS warehouse.flight_status AS
SELECT topic, topic_id, partition, offset, event_id, flight, status, at, run_id, handled_at
FROM warehouse.flight_status_inbox FINAL
WHERE outcome = 'applied'
ORDER BY handled_at, topic_id, partition, offset
LIMIT 1 BY topic, event_id
