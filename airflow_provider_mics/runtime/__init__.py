"""What Airflow says about a connection and a running task, read in one place for 2.11 to 3.x."""
