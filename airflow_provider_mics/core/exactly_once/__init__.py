"""Starting an execution exactly once: who it is, whether it is there already, and whose turn a tick is. Pure."""
