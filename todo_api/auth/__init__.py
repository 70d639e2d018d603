"""Tokens: our own, and those of external issuers. API keys are a product package, `api_keys`.

`tokens` makes and verifies our own; `external_issuer` verifies those of others.
`jwks_client` fetches an issuer's keys, `jwks_cache` keeps them fresh, `public_keys` reads them.
"""

from todo_api.auth.external_issuer import ExternalTokens, description, external_tokens
from todo_api.auth.tokens import Identity, TokenIssuer, TokenMemory, TokenVerifier, is_subject

__all__ = [
    "ExternalTokens",
    "Identity",
    "TokenIssuer",
    "TokenMemory",
    "TokenVerifier",
    "description",
    "external_tokens",
    "is_subject",
]
