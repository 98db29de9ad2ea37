"""A real Airflow on this machine, for the tests and for the demo. Not part of the package."""
