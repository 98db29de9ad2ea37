"""Values of properties without secrets: by their names and contents, as Airflow's own pages hide them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_mics.api.models import PluginProperty
from airflow_provider_mics.page.details import property_text
from airflow_provider_mics.runtime.compat import redact

LONGEST_NAME = 100
_NEW_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def shown_properties(properties: Iterable[PluginProperty]) -> list[tuple[str, str]]:
    """Return names and values as they may be shown."""
    return [(each.technical_name[:LONGEST_NAME], _shown(each)) for each in properties]


def _shown(instance_property: PluginProperty) -> str:
    # Airflow knows names such as private_key; a property may be called privateKey.
    name = _NEW_WORD.sub("_", instance_property.technical_name)
    return str(redact(property_text(instance_property), name))
