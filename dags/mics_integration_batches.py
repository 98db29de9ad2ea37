"""Every integration batch of the organisation as an Airflow DAG. Copy this file into your dags folder."""

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(mics_conn_id="mics_default"))
