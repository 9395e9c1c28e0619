"""Turns landed text into typed tables: the Spark job. Its SQL is in sql/transform/*.sql.

Run by spark-submit:  transform.py FOLDER   reads FOLDER/landing/*.parquet, writes FOLDER/transformed/{flights,...}/

Each attempt writes to a folder of its own and then points the link `transformed` to it: the job of a task that was
killed may still be running while the retry's runs, and neither must see half of the other's files. The job imports
nothing of this project, since a cluster's driver has only this file and the SQL beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SQL = Path(__file__).resolve().parent / "sql" / "transform"
INPUTS = ("flights", "weather", "planes", "airports")
OUTPUTS = ("flights", "daily_delays", "delay_features")  # in order: the later ones read the first

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a text that is no number is an error, never a silent NULL
    "spark.sql.parquet.compression.codec": "zstd",  # ClickHouse cannot read the lz4 that Spark writes
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}

# What is written is read once and whole: nobody asks for statistics or checksums of its pages, nor for the fewest bytes.
WRITING = {
    "parquet.column.statistics.enabled": "false",
    "parquet.size.statistics.enabled": "false",
    "parquet.page.write-checksum.enabled": "false",
    "parquet.compression.codec.zstd.level": "1",  # a sixth less CPU than 3, a sixtieth more bytes
}


def query(spark: SparkSession, output: str) -> DataFrame:
    """Compute the table `output` from its SQL file, over the views that are registered."""
    return spark.sql((SQL / f"{output}.sql").read_text())


def main(folder: str, spark: SparkSession | None = None) -> dict[str, int]:
    """Transform what lies in FOLDER/landing; FOLDER/transformed leads to the result once it is complete.

    :returns: rows written, per table
    :raises pyspark.errors.SparkRuntimeException: a value cannot be read as its type
    """
    from pyspark.sql import SparkSession

    spark = spark or SparkSession.builder.getOrCreate()
    print(f"Spark {spark.version} on {spark.sparkContext.master}, application {spark.sparkContext.applicationId}")
    for setting, value in SETTINGS.items():
        spark.conf.set(setting, value)
    for name in INPUTS:
        spark.read.parquet(f"{folder}/landing/{name}.parquet").createOrReplaceTempView(f"feed_{name}")
    rows = {}
    attempt = new_attempt(Path(folder))
    for output in OUTPUTS:
        target = str(attempt / output)
        query(spark, output).write.options(**WRITING).parquet(target)
        written = spark.read.parquet(target)
        written.createOrReplaceTempView(output)
        rows[output] = written.count()
    point_to(attempt, Path(folder) / "transformed")
    return rows


def new_attempt(folder: Path) -> Path:
    """Make a folder for the output of one attempt."""
    attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=folder))
    attempt.chmod(0o755)  # a cluster's executors, or the tasks of another worker, may run as another user
    return attempt


def point_to(attempt: Path, link: Path) -> None:
    """Let the link lead to the attempt's folder beside it, atomically."""
    part = attempt.with_name(f".{attempt.name}")
    part.symlink_to(attempt.name)
    part.replace(link)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of the run, seen by driver and executors alike")
    print("rows written:", json.dumps(main(parser.parse_args().folder)))
    sys.exit(0)
