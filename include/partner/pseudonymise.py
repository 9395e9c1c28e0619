"""Replaces each tail number in the register of planes by a keyed pseudonym: a Spark job.

Run by spark-submit:  pseudonymise.py PLANES_CSV FOLDER   reads PSEUDONYM_SECRET of the environment, writes FOLDER/planes/*.csv

The pseudonym is the start of HMAC-SHA256(secret, tail number): the partner can join one delivery to the next, and name no
plane. The secret is in the function that Spark sends to its executors. In a property it would be in the UI's list, and as a
literal of a query in the query's plan, hence in the UI and in the event log.
"""

from __future__ import annotations

import argparse
import hmac
import os
import sys

LENGTH = 16  # hexadecimal digits of a pseudonym


def main(planes: str, folder: str) -> int:
    """Write the planes of a CSV file under pseudonyms; returns how many."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import udf

    spark = SparkSession.builder.getOrCreate()
    secret = os.environ.pop("PSEUDONYM_SECRET").encode()

    @udf("string")
    def pseudonym(tail_number: str) -> str:
        return hmac.new(secret, tail_number.encode(), "sha256").hexdigest()[:LENGTH]

    known = spark.read.option("header", True).csv(planes)
    columns = ("year", "manufacturer", "model", "seats")
    delivered = known.select(pseudonym("tailnum").alias("plane"), *columns).coalesce(1)
    delivered.write.mode("overwrite").option("header", True).csv(f"{folder}/planes")
    return spark.read.option("header", True).csv(f"{folder}/planes").count()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("planes", help="planes.csv of the feed")
    parser.add_argument("folder", help="folder of the run, seen by driver and executors alike")
    options = parser.parse_args()
    print(f"{main(options.planes, options.folder)} planes under pseudonyms")
    sys.exit(0)
