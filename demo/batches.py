"""Airflow: every integration batch of the demo as a dag. It polls often: the demo's batches take seconds."""

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(mics_conn_id="mics_default", poll_interval=5))
