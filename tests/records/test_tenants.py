"""Ids with their tenant: never equal to another tenant's, and plain again as they were."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import tenants
from services.ingest.accept.domain.text import is_identifier

NAMES = st.from_regex(tenants.NAME, fullmatch=True)
ANY_TENANT = st.just(tenants.DEFAULT) | NAMES
IDS = st.text() | st.builds("\x1f{}\x1f{}".format, st.text(string.ascii_lowercase, max_size=3), st.text(max_size=3))


@given(ANY_TENANT, IDS)
def test_an_id_belongs_to_the_tenant_it_was_qualified_for(tenant: str, sent: str) -> None:
    made = tenants.qualified(tenant, sent)
    assert tenants.tenant_of(made) == tenant
    if tenant or tenants.tenant_of(sent) == tenants.DEFAULT:
        assert tenants.plain(made) == sent


@given(ANY_TENANT, IDS, ANY_TENANT, IDS)
def test_ids_of_two_tenants_are_never_equal(one: str, sent: str, other: str, also_sent: str) -> None:
    is_same = tenants.qualified(one, sent) == tenants.qualified(other, also_sent)
    assert is_same <= (one == other)


@given(st.text())
def test_the_default_tenants_ids_stay_as_they_are(sent: str) -> None:
    if not sent.startswith(tenants.SEPARATOR):
        assert tenants.qualified(tenants.DEFAULT, sent) == sent == tenants.plain(sent)


@given(ANY_TENANT, IDS)
def test_what_was_made_to_look_qualified_is_no_id(tenant: str, sent: str) -> None:
    if tenants.SEPARATOR in sent:
        assert not is_identifier(tenants.qualified(tenant, sent), 1_000)


@given(ANY_TENANT, st.text(), st.text())
def test_an_id_beside_another_is_of_the_same_tenant(tenant: str, one: str, other: str) -> None:
    assert tenants.beside(tenants.qualified(tenant, one), other) == tenants.qualified(tenant, other)


@pytest.mark.parametrize("name", ["a", "0", "acme", "a-b-", "a" * 31])
def test_a_tenant_may_be_called_this(name: str) -> None:
    assert tenants.is_name(name)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a b", "ä", "a" * 32, "a\n", "\x1f", "a/b"])
def test_a_tenant_may_not_be_called_this(name: str) -> None:
    assert not tenants.is_name(name)
