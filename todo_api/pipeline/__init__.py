"""What makes Connexion strict and fast: each part of a request's life, compiled from the contract at start.

The classes stand in Connexion's own places: its list of middlewares, its security map, its resolver. They hold for any contract
and know no task. From the outside in: `Envelope`, `Problems`, `Pages`, `Routing`, Connexion's own security between `RefusedLimits` and
`RateLimits`, `Validation`, `Guesses`, `Bridge`.
`Exchange` is what those who watch are told of a request.
"""
