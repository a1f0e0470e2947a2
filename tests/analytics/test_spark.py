"""Another engine counts the same over the same files: Spark, on one machine."""

from pathlib import Path

import pytest
from journeymesh.analytics.v1 import analytics_pb2 as wire

from services.analytics.domain.layout import VERSION
from tests.analytics.test_service import SECOND_US, site
from tests.builders import NOW_US, event

pytestmark = pytest.mark.tools

FUNNEL = """
WITH first AS (SELECT user_id, event_time AS t FROM events WHERE page = '/a')
SELECT count(DISTINCT first.user_id) AS one, count(DISTINCT second.user_id) AS two FROM first
LEFT JOIN events AS second ON second.user_id = first.user_id AND second.page = '/b' AND second.event_time > first.t
AND second.event_time <= first.t + INTERVAL 1 MINUTE
"""


async def test_spark_finds_the_same_funnel_in_the_same_files(tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    async with site(tmp_path) as at:
        for user in range(5):
            times = (0, 30) if user % 2 else (0, 90)
            await at.archive(
                *(
                    event(f"{user}-{page}", f"u-{user}", page=page, event_time_us=NOW_US - (100 - seconds) * SECOND_US)
                    for page, seconds in zip(("/a", "/b"), times, strict=True)
                )
            )
        steps = [wire.Step(where=[wire.Condition(field=wire.FIELD_PAGE, values=[page])]) for page in ("/a", "/b")]
        question = wire.FunnelQuestion(steps=steps, within_seconds=60)
        (funnel,) = (await at.stub.AskFunnel(wire.AskFunnelRequest(question=question))).funnels
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        read = spark.read.parquet(str(tmp_path / "copies" / "events" / VERSION))
        assert {"tenant", "day"} <= set(read.columns)
        read.createOrReplaceTempView("events")
        (row,) = spark.sql(FUNNEL).collect()
    finally:
        spark.stop()
    assert [step.user_count for step in funnel.steps] == [row["one"], row["two"]] == [5, 2]
