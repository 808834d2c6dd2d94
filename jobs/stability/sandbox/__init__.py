"""A real HTTP server that plays the Stability API, for demos and tests.

`settings` and `server` are its public face: `serve(SandboxSettings())`. A request passes
`protocol` (when did it arrive), `gate` (whose is it, is there room for it), then `generation`
or `collection`; what was paid is in the `books`. `plan`, `patterns`, `picture`, `video` and
`solid` draw the answers, `faults` and `delivery` spoil them on demand.
"""
