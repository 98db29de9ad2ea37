"""A local mediarithmics: an HTTP server with the platform's endpoints and scheduler, configurable quirks and faults.

Start it with ``python -m airflow_provider_mics.sandbox``. It imports nothing of the provider, and the provider imports
nothing of it: they communicate over HTTP only.
"""
