"""What a task writes into XCom before it waits, so that a person and the next try find it while it waits."""

from __future__ import annotations

EXECUTION_ID_KEY = "execution_id"

"""The execution the task waits for. XCom is emptied when a try begins, so it is never an earlier try's."""

LINK_KEY = "mics_instance_link"

"""The page of the instance on the platform's console."""

PLUGIN_LINK_KEY = "mics_plugin_link"

"""The page of the plugin there."""
