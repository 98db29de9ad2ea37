"""One Airflow DAG for each integration batch instance of the organisation. Copy this file to your dags folder."""

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(mics_conn_id="mics_default"))
