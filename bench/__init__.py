"""How fast Darkroom is, measured beside plain code for the same work. `make bench` runs it."""
