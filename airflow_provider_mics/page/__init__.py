"""The page of all integration batches in Airflow's UI: Airflow 3.1 and later.

``registration`` says what Airflow's API server mounts, and loads nothing. ``app`` has the routes. ``platform_reading``
and ``shared_readings`` get what the platform shows, ``airflow_state`` what Airflow knows. ``batches``, ``drift``,
``queries``, ``charts`` and ``forms_sent_twice`` are pure, ``rendering`` makes HTML of them, and ``actions`` acts.
"""
