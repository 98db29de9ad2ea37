"""A local mediarithmics: a real HTTP server with the platform's endpoints, scheduler, quirks and faults.

Run it with ``python -m airflow_provider_mics.sandbox``. It imports nothing of the provider, and the provider nothing
of it: the two meet over HTTP only.
"""
