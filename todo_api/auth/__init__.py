"""Tokens, our own and those of external issuers. API keys are the product package `api_keys`.

`tokens` issues and verifies our own; `external_issuer` verifies those of others. `jwks_client`
fetches an issuer's keys, `jwks_cache` keeps them fresh, `public_keys` parses them.
"""

from todo_api.auth.external_issuer import ExternalTokenVerifier, describe_issuer, external_token_verifier
from todo_api.auth.tokens import Identity, TokenIssuer, TokenVerifier, VerifiedTokenCache, is_subject

__all__ = [
    "ExternalTokenVerifier",
    "Identity",
    "TokenIssuer",
    "TokenVerifier",
    "VerifiedTokenCache",
    "describe_issuer",
    "external_token_verifier",
    "is_subject",
]
