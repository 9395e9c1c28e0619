# One image for every Airflow component and for Spark: a task's driver and its executors then run the same Python.
FROM python:3.13-slim-trixie AS packages

# In a virtual environment, so that the next stage takes the packages and leaves behind what installed them.
RUN python -m venv --without-pip /opt/venv
WORKDIR /build
COPY requirements.txt pyproject.toml ./
# uv comes from the lock too, with its hashes: nothing that is installed here is unpinned.
RUN awk '/^[^ #]/ {wanted = /^uv==/} wanted' requirements.txt >uv.txt \
 && pip install --no-cache-dir --root-user-action=ignore --no-deps --require-hashes -r uv.txt
# One group of pyproject.toml, in the versions and with the hashes of the lock. Bytecode is compiled now because the user
# who runs it cannot write it later, and every start would pay for compiling Airflow again.
# For Kubernetes: --build-arg KUBERNETES=1. Every process that imports SparkSubmitOperator then imports Kubernetes' client,
# too: 77 MB and 0.6 s of CPU, which the compose stack has no use for.
ARG KUBERNETES=
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 uv pip install --quiet --python /opt/venv/bin/python \
    --require-hashes --constraint requirements.txt --group airflow ${KUBERNETES:+--group kubernetes}


FROM python:3.13-slim-trixie

RUN apt-get update \
 && apt-get install -y --no-install-recommends git openjdk-21-jre-headless \
 && rm -rf /var/lib/apt/lists/* \
 # The repository of the DAGs belongs to whoever deploys, not to the user of the container, who only reads it.
 && git config --system --add safe.directory '*' \
 && ln -s "$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")" /opt/java

COPY --from=packages /opt/venv /opt/venv
ENV JAVA_HOME=/opt/java \
    SPARK_HOME=/opt/spark \
    SPARK_CONF_DIR=/opt/airflow/config/spark \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONPATH=/opt/airflow:/opt/airflow/config \
    PATH=/opt/venv/bin:/opt/spark/bin:$PATH \
    # The project is mounted read-only. (A cache prefix would also hide the bytecode that was compiled above.)
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Spark is the pyspark package, wherever this interpreter keeps it. Volumes take owner and mode from the folders
# they are first mounted on; AIRFLOW_HOME itself is writable because Airflow puts its generated airflow.cfg there.
RUN ln -s "$(python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')" /opt/spark \
 && useradd --uid 50000 --create-home airflow \
 && install -d -o airflow -g airflow /opt/airflow /opt/airflow/data /opt/airflow/logs
WORKDIR /opt/airflow
COPY config config
COPY plugins plugins
COPY include include
COPY answers answers
COPY dags dags
USER airflow
