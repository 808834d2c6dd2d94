"""One permit for each request: `permits` asks, `limiter.lua` decides, Redis keeps the count."""
