"""XCom keys, besides the result, that tasks of this package write before they wait or end."""

from __future__ import annotations

EXECUTION_ID_KEY = "execution_id"
"""The execution that the task waits for. XCom is emptied when a try begins, so the id is never an earlier try's."""
INSTANCE_LINK_KEY = "mics_instance_link"
"""URL of the instance's page on the mediarithmics console."""
PLUGIN_LINK_KEY = "mics_plugin_link"
"""URL of the plugin's page on the mediarithmics console."""
PLUGIN_ID_KEY = "plugin_id"
"""Id of a created plugin, for the next task: ``create.output["plugin_id"]``."""
VERSION_ID_KEY = "version_id"
"""Id of a created plugin version."""
INSTANCE_ID_KEY = "instance_id"
"""Id of the instance that a task created or worked on."""
