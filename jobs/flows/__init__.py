"""Flows: jobs that use each other's outputs, let in together."""
