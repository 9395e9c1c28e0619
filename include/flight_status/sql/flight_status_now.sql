-- The last status of each flight by the events' own clock, in whatever order they came.
CREATE VIEW IF NOT EXISTS warehouse.flight_status_now AS
SELECT topic, flight, argMax(status, (at, event_id)) AS status, max(at) AS since
FROM warehouse.flight_status
GROUP BY topic, flight
