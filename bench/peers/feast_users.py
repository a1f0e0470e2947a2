"""A feature store of Feast with users' features in Redis: `feast_users.py <folder> <port> <users> <names as JSON>`.

Run in Feast's environment; `feast serve` in the folder then answers for them.
"""

import datetime as dt
import json
import sys
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType


def main() -> None:
    """Describes the store and fills it."""
    folder, port, user_count, names = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    written = (
        "project: bench\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        f"offline_store:\n  type: file\nonline_store:\n  type: redis\n  connection_string: localhost:{port}\n"
    )
    (folder / "feature_store.yaml").write_text(written, encoding="utf-8")
    now = dt.datetime.now(dt.UTC)
    users = [f"user-{number}" for number in range(user_count)]
    columns = {name: [float(number % 7) for number in range(user_count)] for name in names}
    rows = pd.DataFrame({"user_id": users, "event_timestamp": [now] * user_count, **columns})
    rows.to_parquet(folder / "rows.parquet")
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="journey",
        entities=[user],
        schema=[Field(name=name, dtype=Float64) for name in names],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp"),
        ttl=dt.timedelta(days=400),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([user, view])
    store.write_to_online_store("journey", rows)


if __name__ == "__main__":
    main()
