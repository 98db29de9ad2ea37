"""Apache Airflow provider for mediarithmics integration batches."""

__version__ = "0.1.0"
