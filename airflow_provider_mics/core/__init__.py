"""The pure part: exactly-once submission, DAG planning, polling and provisioning. No Airflow, no environment."""
