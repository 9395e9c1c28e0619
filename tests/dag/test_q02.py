import json


def test_x(dag_of):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = dag_of("q02_daily_punctuality_report")
    d = DagSerialization.to_dict(dag)
    print(json.dumps(d["dag"]["deadline"], indent=1, default=str))
    b = DagSerialization.from_dict(d)
    print(b.deadline, [(t.task_id, t.retries, t.retry_delay) for t in b.tasks])
    assert 0
