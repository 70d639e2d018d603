"""Public keys of issuers, from JWK sets (RFC 7517) and PEM files. Unusable ones are left out."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

MAX_KEYS = 50
_RSA_BITS = range(2048, 8193)  # the minimum is RFC 7518's, section 3.3; the maximum bounds the work
_MAX_EXPONENT = 8  # characters of base64url
_MAX_KEY_TEXT = 2048  # characters of JSON
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_PUBLIC_MEMBERS = ("kty", "crv", "x", "y", "n", "e")


class Key(NamedTuple):
    """A key, and the JSON text of its public members, which identifies it."""

    text: str
    value: Any


Keys = dict[tuple[str | None, str], Key]
"""Keys by id and algorithm. The id is None for a key without one."""


def find_key(keys: Keys, key_id: str | None, algorithm: str) -> Key | None:
    """Return the key with this id; without an id, the only key for the algorithm."""
    if key_id is not None:
        return keys.get((key_id, algorithm)) or keys.get((None, algorithm))
    fitting = [key for (_, used_with), key in keys.items() if used_with == algorithm]
    return fitting[0] if len(fitting) == 1 else None


def parse_jwks(document: Any, algorithms: tuple[str, ...], known: Keys) -> Keys:
    """Return the keys of a JWK set for these algorithms. Unchanged ones are those of `known`.

    Raise ValueError if it is not a JWK set or has more than MAX_KEYS keys.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no JWK set")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    keys: Keys = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str | None):
            for algorithm in _algorithms(entry, algorithms):
                name = entry.get("kid"), algorithm
                key = _key(entry, algorithm, known.get(name))
                if key is not None:
                    keys.setdefault(name, key)
    return keys


def parse_key_file(content: bytes, algorithms: tuple[str, ...]) -> Keys:
    """Return the keys of a JWK set, a JWK, a public key in PEM or a certificate.

    Raise ValueError.
    """
    if b"-----BEGIN" in content:
        return parse_jwks({"keys": [_jwk_of_pem(content)]}, algorithms, {})
    document = json.loads(content)
    if isinstance(document, dict) and "keys" not in document:
        document = {"keys": [document]}
    return parse_jwks(document, algorithms, {})


def _algorithms(entry: dict[str, Any], allowed: tuple[str, ...]) -> Iterator[str]:
    """Yield the algorithms of a JWK: its `alg`, or all that its type allows."""
    if not _is_for_signatures(entry):
        return
    named = "EdDSA" if entry.get("alg") == "Ed25519" else entry.get("alg")
    for algorithm in allowed:
        match entry.get("kty"):
            case "OKP":
                fits = algorithm == "EdDSA" and entry.get("crv") == "Ed25519"
            case "EC":
                fits = algorithm in _CURVES and entry.get("crv") == _CURVES[algorithm]
            case "RSA":
                fits = algorithm.startswith(("RS", "PS"))
            case _:
                fits = False  # above all `oct`: a published secret is not secret
        if fits and named in (None, algorithm):
            yield algorithm


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    """Return whether `use` and `key_ops` allow to verify signatures (RFC 7517, section 4)."""
    operations = entry.get("key_ops")
    allows = operations is None or (isinstance(operations, list) and "verify" in operations)
    return allows and entry.get("use", "sig") == "sig"


def _key(entry: dict[str, Any], algorithm: str, known: Key | None) -> Key | None:
    public = {name: entry[name] for name in _PUBLIC_MEMBERS if name in entry}
    text = json.dumps(public, sort_keys=True)
    if known is not None and known.text == text:
        return known
    if len(text) > _MAX_KEY_TEXT or len(str(public.get("e", ""))) > _MAX_EXPONENT:
        return None
    try:
        value = jwt.PyJWK(public, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None  # PyJWT raises all of these for members of a wrong type
    if isinstance(value, RSAPublicKey) and value.key_size not in _RSA_BITS:
        return None
    return Key(text, value)


def _jwk_of_pem(content: bytes) -> dict[str, Any]:
    if b"PRIVATE KEY" in content:
        raise ValueError("a private key, which must stay with the issuer")
    if b"BEGIN CERTIFICATE" in content:
        key: object = load_pem_x509_certificate(content).public_key()
    else:
        key = load_pem_public_key(content)
    match key:
        case RSAPublicKey():
            return RSAAlgorithm.to_jwk(key, as_dict=True)
        case EllipticCurvePublicKey():
            return ECAlgorithm.to_jwk(key, as_dict=True)
        case Ed25519PublicKey():
            return OKPAlgorithm.to_jwk(key, as_dict=True)
    raise ValueError("a key of another kind")
