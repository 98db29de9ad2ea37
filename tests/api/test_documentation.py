"""Each public function says what it takes, what it raises and where the fact comes from."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_mics import api

FUNCTIONS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
LOOPS = {"drive", "adrive"}
"""They know nothing of the vendor's API."""
METHODS = [
    (client, method)
    for client in (api.MicsClient, api.AsyncMicsClient)
    for method in ("__init__", "run", "perform")
]


def undocumented(function: object) -> set[str]:
    """The parameters without a ``:param:``."""
    named = set(re.findall(r":param (\w+):", inspect.getdoc(function) or ""))
    return set(inspect.signature(function).parameters) - named - {"self"}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_documents_each_parameter_and_what_it_raises(name):
    function = getattr(api, name)
    assert not undocumented(function)
    assert re.search(r":raises \w+: ", inspect.getdoc(function) or "")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in LOOPS])
def test_a_function_links_to_where_the_fact_comes_from(name):
    links = re.findall(r"https://(\S+?)[,.;)]?(?:\s|$)", inspect.getdoc(getattr(api, name)) or "")
    vendor = ("developer.mediarithmics.io/", "github.com/mnguyen-mics/mcu-nx")
    assert any(link.startswith(vendor) for link in links)


@pytest.mark.parametrize(
    ("client", "method"), METHODS, ids=[f"{client.__name__}.{name}" for client, name in METHODS]
)
def test_a_method_of_a_client_documents_each_parameter_and_what_it_raises(client, method):
    function = getattr(client, method)
    assert not undocumented(function)
    assert ":raises MicsError: " in (inspect.getdoc(function) or "")
