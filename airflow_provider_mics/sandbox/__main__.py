"""``python -m airflow_provider_mics.sandbox``."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> int:
    """Run the sandbox, or say what it needs."""
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        print(
            f'the sandbox needs {" and ".join(missing)}: pip install "airflow-provider-mics[sandbox]"',
            file=sys.stderr,
        )
        return 2
    from airflow_provider_mics.sandbox.command_line import run

    run(sys.argv[1:], lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
