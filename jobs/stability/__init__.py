"""Everything that speaks with the Stability AI API, or as it."""
