"""Stability's own addresses under `/stability`: an existing client changes its base URL and key."""
