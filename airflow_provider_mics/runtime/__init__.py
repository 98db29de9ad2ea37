"""What Airflow tells us while a task runs, on 2.11 to 3.x, read in one place."""
