"""Bring plugins, versions, instances and executions into a wanted state, whatever their present one. Pure."""
