"""Webhooks: what is told to whom, by the Standard Webhooks, from a queue of its own.

Deliveries are made from the events of jobs in the transaction that counts them, so each event
becomes one delivery for each endpoint, whatever dies. Job work never waits for a receiver.
"""
