"""The country that an event declares, as SQL: by what was sent alone, never by an address.

That is `country` of its properties, or else `countryCode`, if it is a code of two letters; else the country of its time
zone as the zone database has it (`zone.tab` and its links), which says more than a language does; else the region of
the `locale` of its properties, such as `de-AT`.
"""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Final

import duckdb
import pyarrow as pa

_COUNTRY: Final = r"^[A-Za-z]{2}$"
_REGION: Final = r"^[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?[-_]([A-Za-z]{2})(?:[-_.@].*)?$"
# What is no JSON, as a caller of ingest may send it, declares nothing.
_SAID: Final = "TRY(json_extract_string(some_properties, '$.{}'))"
_MACRO: Final = f"""CREATE TEMP MACRO country_of(some_properties, some_zone) AS coalesce(
    CASE WHEN contains(some_properties, '"country') THEN coalesce(
        nullif(regexp_extract(upper({_SAID.format("country")}), '{_COUNTRY}'), ''),
        nullif(regexp_extract(upper({_SAID.format("countryCode")}), '{_COUNTRY}'), '')) END,
    (SELECT country FROM zones WHERE zone = some_zone),
    CASE WHEN contains(some_properties, '"locale"') THEN nullif(upper(regexp_extract(
        {_SAID.format("locale")}, '{_REGION}', 1)), '') END)"""


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the macro `country_of`: the country as a code of two capitals, null where none is declared."""
    known = zones()
    connection.register("given_zones", pa.table({"zone": list(known), "country": list(known.values())}))
    connection.execute("CREATE TEMP TABLE zones AS SELECT * FROM given_zones")
    connection.unregister("given_zones")
    connection.execute(_MACRO)


@functools.cache
def zones() -> Mapping[str, str]:
    """The country of each time zone that has one, by all of its names."""
    database = importlib.resources.files("tzdata.zoneinfo")
    listed = (line.split("\t") for line in database.joinpath("zone.tab").read_text().splitlines() if line[0] != "#")
    known = {zone: country for country, _, zone, *_ in listed}
    links = (line.split() for line in database.joinpath("tzdata.zi").read_text().splitlines() if line.startswith("L "))
    return {name: known[to] for _, to, name in links if to in known} | known
