"""The country that an event declares, and none where it declares none."""

import duckdb
import pytest

from services.analytics.adapters.copies import countries


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    countries.install(made)
    return made


@pytest.mark.parametrize(
    ("properties", "zone", "expected"),
    [
        ('{"page":"/pay"}', "Europe/Berlin", "DE"),
        ('{"country":"at"}', "Europe/Berlin", "AT"),
        ('{"countryCode":"US"}', "Europe/Berlin", "US"),
        ('{"locale":"en-US"}', "Europe/Vienna", "AT"),
        ('{"locale":"pt_BR.UTF-8"}', "UTC", "BR"),
        ('{"locale":"zh-Hant-TW"}', None, "TW"),
        # Names under which browsers know a zone.
        (None, "Asia/Calcutta", "IN"),
        (None, "Europe/Kiev", "UA"),
        (None, "US/Pacific", "US"),
        ('{"locale":"de"}', None, None),
        ('{"country":"Germany"}', None, None),
        ('{"country":"Germany","countryCode":"de"}', "Europe/Vienna", "DE"),
        ('{"country":"","countryCode":"DE"}', "Europe/Vienna", "DE"),
        ('{"country":"AT","countryCode":"DE"}', "Europe/Berlin", "AT"),
        ('{"country":{"code":"DE"}}', "Etc/GMT+1", None),
        ('{"country":', "Asia/Tokyo", "JP"),
        (None, None, None),
    ],
)
def test_a_country_is_what_was_declared(
    connection: duckdb.DuckDBPyConnection, properties: str | None, zone: str | None, expected: str | None
) -> None:
    found = connection.execute("SELECT country_of($1::VARCHAR, $2::VARCHAR)", [properties, zone]).fetchone()
    assert found == (expected,)


def test_every_zone_of_the_database_has_one_country() -> None:
    known = countries.zones()
    assert len(known) > 400
    assert all(len(country) == 2 and country.isupper() for country in known.values())
