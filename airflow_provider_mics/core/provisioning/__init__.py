"""Bringing plugins, versions, instances and executions into the state that is wanted, whatever was there before."""
