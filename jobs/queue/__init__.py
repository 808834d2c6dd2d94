"""Every change of a job's state, one verb for each; nothing else writes `job.state`.

`intake` lets jobs in, `leases` says who works on what, `settling` turns outcomes into states,
`desk` is where people decide, and `moves` is the one guarded UPDATE below them all.
Verbs take a connection and the time; whoever calls them owns the transaction.
"""
