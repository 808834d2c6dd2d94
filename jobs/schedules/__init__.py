"""Schedules: a job or a batch that is submitted by a clock."""
