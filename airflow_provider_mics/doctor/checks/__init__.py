"""What the doctor asks and concludes. Pure: no Airflow, no environment variables, no clock of its own."""
