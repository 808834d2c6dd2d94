"""The domain of Darkroom and its adapters; it knows neither Celery nor FastAPI.

`catalog` says what can be asked of the API, `manifest` reads many wishes, `batches` and `queue`
keep them as jobs, `limiter` and `stability` talk to the API, `spool` and `storage` keep what it
answers, `history`, `tallies` and `dataset` tell what came of it. `cli` is the operator's door.
"""
