"""Idempotency-Key: a request that is sent again gets the reply of the first time."""
