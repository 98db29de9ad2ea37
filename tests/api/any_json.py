"""Bodies that a server might send: any bytes, any JSON, and JSON that looks much like the platform's."""

from __future__ import annotations

from hypothesis import strategies as st

from airflow_provider_mics.api import Execution, Instance, PluginProperty

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIELDS = {name for model in (Execution, Instance, PluginProperty) for name in model.model_fields}
WRAPPER = {"data", "error", "error_code", "error_id", "total", "max_results", "first_result", "count"}
OTHERS = {"execution_type", "expected_start_date", "workspaces", "execution_container_cpu_size"}
known_names = st.sampled_from(sorted(FIELDS | WRAPPER | OTHERS))
likely_json = st.dictionaries(
    known_names, any_json | st.dictionaries(known_names, any_json, max_size=4), max_size=5
)
bodies = (
    st.binary(max_size=200)
    | any_json
    | likely_json
    | st.builds(lambda data: {"status": "ok", "data": data}, likely_json | st.lists(likely_json, max_size=3))
)
