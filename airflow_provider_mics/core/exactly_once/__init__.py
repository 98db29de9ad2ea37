"""Start an execution exactly once: its identity, its submission, and the handover of a tick. Pure."""
