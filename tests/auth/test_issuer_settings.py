"""The settings of an external issuer: what its tokens must then have, and what start-up refuses."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from tests.support.credentials import SECRET
from tests.support.issuers import AUDIENCE, ISSUER, Signer, claims, hmac_token
from tests.support.live import refusal
from todo_api.auth.external_issuer import external_token_verifier
from todo_api.auth.tokens import Identity
from todo_api.config import Config, ConfigurationError
from todo_api.config.secrets import cursor_secret
from todo_api.errors import Unauthorized

EXTERNAL: dict[str, Any] = {
    "jwt_issuer": ISSUER,
    "jwt_audience": (AUDIENCE,),
    "jwt_jwks_url": "https://auth.example/jwks",
}
HOLDS, REFUSED = "ada", "refused"
OLD, NEW = Signer(key_id="old"), Signer(key_id="new")


def verdict(token: str, **settings: Any) -> str:
    """The subject of a token under these settings, or `REFUSED`."""

    async def ask() -> str:
        tokens = external_token_verifier(Config(**({"jwt_issuer": ISSUER, "jwt_audience": (AUDIENCE,)} | settings)))
        try:
            identity = tokens.verify(token)
            found = identity if isinstance(identity, Identity) else await identity
            return found.subject
        except Unauthorized:
            return REFUSED

    return asyncio.run(ask())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with the public key of OLD."""
    file = tmp_path / "issuer.pem"
    file.write_bytes(OLD.pem())
    return file


CLERK = {"jwt_audience": (), "jwt_authorized_parties": ("https://app.example", "https://staging.example")}
KEYCLOAK = {"jwt_audience": ("account",), "jwt_authorized_parties": ("web",), "jwt_required_claims": ("typ=Bearer",)}
KEYCLOAK_CLAIMS = {"aud": ["account", "other"], "azp": "web", "typ": "Bearer"}
VERIFIED = {"jwt_required_claims": ("email_verified=true", "org")}

TERMS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "Clerk": (CLERK, {"aud": None, "azp": "https://app.example"}, HOLDS),
    "Clerk, other party": (CLERK, {"aud": None, "azp": "https://evil.example"}, REFUSED),
    "Clerk, no party": (CLERK, {"aud": None}, REFUSED),
    "Clerk, parties in a list": (CLERK, {"aud": None, "azp": ["https://app.example"]}, REFUSED),
    "Clerk, token for an audience": (CLERK, {"aud": "other", "azp": "https://app.example"}, REFUSED),
    "Clerk, token for nobody": (CLERK, {"aud": [], "azp": "https://app.example"}, REFUSED),
    "Clerk, token for an empty name": (CLERK, {"aud": "", "azp": "https://app.example"}, REFUSED),
    "Clerk, party without a name": (CLERK, {"aud": None, "azp": ""}, REFUSED),
    "Clerk, part of a party": (CLERK, {"aud": None, "azp": "https://app"}, REFUSED),
    "Clerk, second party": (CLERK, {"aud": None, "azp": "https://staging.example"}, HOLDS),
    "audience alone, any party": ({}, {"azp": "https://evil.example"}, HOLDS),
    "audience alone, no audience": ({}, {"aud": None}, REFUSED),
    "audience alone, the party's name": ({}, {"aud": None, "azp": AUDIENCE}, REFUSED),
    "Keycloak, no party": (KEYCLOAK, KEYCLOAK_CLAIMS | {"azp": None}, REFUSED),
    "Keycloak, other audiences": (KEYCLOAK, KEYCLOAK_CLAIMS | {"aud": ["other", "third"]}, REFUSED),
    "Keycloak": (KEYCLOAK, KEYCLOAK_CLAIMS, HOLDS),
    "Keycloak, ID token": (KEYCLOAK, KEYCLOAK_CLAIMS | {"typ": "ID"}, REFUSED),
    "Keycloak, other client": (KEYCLOAK, KEYCLOAK_CLAIMS | {"azp": "other"}, REFUSED),
    "Keycloak, no audience": (KEYCLOAK, KEYCLOAK_CLAIMS | {"aud": None}, REFUSED),
    "Auth0, several audiences": (
        {},
        {"aud": [AUDIENCE, "https://t.auth0.example/userinfo"], "sub": "auth0|5f7c"},
        "auth0|5f7c",
    ),
    "one of our audiences": ({"jwt_audience": ("a", AUDIENCE)}, {}, HOLDS),
    "claims required": (VERIFIED, {"email_verified": True, "org": "x"}, HOLDS),
    "claims required, other value": (VERIFIED, {"email_verified": False, "org": "x"}, REFUSED),
    "claims required, string for true": (VERIFIED, {"email_verified": "true", "org": "x"}, HOLDS),
    "claims required, one missing": (VERIFIED, {"email_verified": True}, REFUSED),
    "claims required, one null": (VERIFIED, {"email_verified": True, "org": None}, REFUSED),
    "within the longest life": ({"jwt_max_lifetime": 900}, {}, HOLDS),
    "beyond the longest life": ({"jwt_max_lifetime": 899}, {}, REFUSED),
}


@pytest.mark.parametrize(("settings", "claims", "expected"), TERMS.values(), ids=TERMS)
def test_verify_under_terms_is_as_they_say(
    key_file: Path, settings: dict[str, Any], claims: dict[str, Any], expected: str
) -> None:
    assert verdict(OLD.token(**claims), jwt_key_file=key_file, **settings) == expected


@pytest.mark.parametrize(("leeway", "expected"), [(60, HOLDS), (0, REFUSED)])
def test_verify_of_token_expired_a_moment_ago_depends_on_the_leeway(key_file: Path, leeway: int, expected: str) -> None:
    token = OLD.token(exp=int(time.time()) - 10)
    assert verdict(token, jwt_key_file=key_file, jwt_leeway=leeway) == expected


def certificate(signer: Signer) -> bytes:
    """A certificate of the signer's public key, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "auth.example")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, signer.private.public_key(), 1, now, now + timedelta(days=1))
    signed = made.sign(signer.private, None if signer.algorithm == "EdDSA" else SHA256())
    return signed.public_bytes(Encoding.PEM)


FILES: dict[str, Callable[[Signer], bytes]] = {
    "PEM": Signer.pem,
    "certificate": certificate,
    "JWK": lambda signer: json.dumps(signer.jwk()).encode(),
    "JWK without id": lambda signer: json.dumps(signer.jwk(kid=None)).encode(),
    "JWK set": lambda signer: json.dumps({"keys": [NEW.jwk(), signer.jwk()]}).encode(),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_verify_with_key_from_file_takes_its_tokens_alone(
    tmp_path: Path, content: Callable[[Signer], bytes], algorithm: str
) -> None:
    signer = Signer(algorithm)
    file = tmp_path / "key"
    file.write_bytes(content(signer))
    tokens = [signer.token(), Signer(algorithm).token(), hmac_token(signer.pem())]
    assert [verdict(token, jwt_key_file=file) for token in tokens] == [HOLDS, REFUSED, REFUSED]


def test_verify_with_keys_from_file_refuses_an_id_that_is_not_in_it(tmp_path: Path) -> None:
    """As with keys that are fetched: 401, and nothing is waited for."""
    file = tmp_path / "keys"
    file.write_text(json.dumps({"keys": [OLD.jwk()]}), encoding="utf-8")
    assert verdict(OLD.token(), jwt_key_file=file) == HOLDS
    assert verdict(OLD.token({"kid": "of another"}), jwt_key_file=file) == REFUSED


def test_known_subject_is_of_a_token_that_was_verified_before_also_once_it_has_expired(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So an overloaded service knows, without work, whose turn it is."""
    tokens = external_token_verifier(Config(jwt_issuer=ISSUER, jwt_audience=(AUDIENCE,), jwt_key_file=key_file))
    token, forged = OLD.token(), NEW.token()
    assert tokens.known_subject(token) is None
    tokens.verify(token)
    assert [tokens.known_subject(each) for each in (token, forged)] == ["ada", None]
    monkeypatch.setattr(time, "time", lambda: time.monotonic() + 10**10)
    assert tokens.known_subject(token) == "ada"


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_verify_with_shared_secret_takes_the_configured_algorithm_alone(algorithm: str, length: int) -> None:
    secret = (SECRET * 2)[:length]
    settings = {"jwt_secret": secret, "jwt_algorithms": (algorithm,)}
    answers = {name: verdict(hmac_token(secret.encode(), name), **settings) for name in ("HS256", "HS384", "HS512")}
    assert answers == {name: HOLDS if name == algorithm else REFUSED for name in answers}


ONE_FAMILY = "JWT_ALGORITHMS must be of these, with public keys: EdDSA, ES256, ES384, ES512, RS256, PS256, RS384, RS512, PS384, PS512."
KEYS = {"jwt_jwks_url": "https://auth.example/jwks"}
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no keys": (
        {},
        "JWT_ISSUER needs the issuer's keys: set one of JWT_JWKS_URL, JWT_DISCOVERY, JWT_KEY_FILE, JWT_SECRET.",
    ),
    "two kinds of keys": (
        KEYS | {"jwt_secret": SECRET},
        "JWT_JWKS_URL and JWT_SECRET are set: the issuer's keys must come from one of them alone.",
    ),
    "two places of keys": (
        KEYS | {"jwt_discovery": True},
        "JWT_JWKS_URL and JWT_DISCOVERY are set: the issuer's keys must come from one of them alone.",
    ),
    "no audience": (
        KEYS | {"jwt_audience": ()},
        "JWT_AUDIENCE is missing: name the aud of the issuer's tokens, or in JWT_AUTHORIZED_PARTIES their azp.",
    ),
    "unknown algorithm": (KEYS | {"jwt_algorithms": ("EdDSA", "none")}, ONE_FAMILY),
    "both families": (KEYS | {"jwt_algorithms": ("EdDSA", "HS256")}, ONE_FAMILY),
    "public algorithm with a secret": (
        {"jwt_secret": SECRET, "jwt_algorithms": ("HS256", "RS256")},
        "JWT_ALGORITHMS must be of these, with a shared secret: HS256, HS384, HS512.",
    ),
    "secret too short for the algorithm": (
        {"jwt_secret": SECRET, "jwt_algorithms": ("HS512",)},
        "JWT_SECRET must have at least 64 bytes for HS512.",
    ),
    "the library's own secret": (
        {"jwt_secret": "better-auth-secret-12345678901234567890"},
        "JWT_SECRET is a known or guessable value. Make one: openssl rand -base64 48",
    ),
    "weak secret of cursors": (
        KEYS | {"cursor_secret": "short"},
        "CURSOR_SECRET must have at least 32 bytes: openssl rand -base64 48",
    ),
    "discovery over http": (
        {"jwt_discovery": True},
        "JWT_ISSUER must be https. Plain http is only for addresses of this machine.",
    ),
    "authorities without a fetch": (
        {"jwt_secret": SECRET, "jwt_ca_file": Path("ca.pem")},
        "JWT_CA_FILE is for JWT_JWKS_URL and JWT_DISCOVERY: nothing else is fetched.",
    ),
    "claim without a name": (
        KEYS | {"jwt_required_claims": ("=x",)},
        "JWT_REQUIRED_CLAIMS must be names or name=value, comma-separated.",
    ),
    "leeway of a day": (KEYS | {"jwt_leeway": 86400}, "JWT_LEEWAY must be a whole number from 0 to 300."),
    "keys for own accounts": (
        KEYS | {"jwt_issuer": None},
        "JWT_JWKS_URL is for an external issuer: set JWT_ISSUER, the exact iss of its tokens.",
    ),
    "two audiences for own accounts": (
        {"jwt_issuer": None, "jwt_audience": ("a", "b")},
        "JWT_AUDIENCE must be one name where the service issues its own tokens.",
    ),
}


@pytest.mark.parametrize(("settings", "line"), REFUSALS.values(), ids=REFUSALS)
def test_config_that_is_unsafe_is_refused_by_name(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Config(**({"jwt_issuer": ISSUER, "jwt_audience": (AUDIENCE,)} | settings))
    assert str(raised.value) == line


def test_config_with_both_names_of_an_algorithm_has_it_once() -> None:
    config = Config(jwt_issuer=ISSUER, jwt_audience=(AUDIENCE,), jwt_algorithms=("Ed25519", "ES256", "EdDSA"), **KEYS)
    assert config.algorithms == ("EdDSA", "ES256")


def test_config_with_a_secret_of_enough_bytes_in_fewer_characters_is_taken() -> None:
    secret = "äöüßéèñç" * 4
    config = Config(jwt_issuer=ISSUER, jwt_audience=(AUDIENCE,), jwt_algorithms=("HS512",), jwt_secret=secret)
    assert (len(config.jwt_secret), len(config.jwt_secret.encode())) == (32, 64)


NOBODY_NAMED = {
    "neither": {},
    "empty": {"JWT_AUDIENCE": "", "JWT_AUTHORIZED_PARTIES": ""},
    "commas and blanks": {"JWT_AUDIENCE": ", ,", "JWT_AUTHORIZED_PARTIES": ",,"},
}


@pytest.mark.parametrize("named", NOBODY_NAMED.values(), ids=NOBODY_NAMED)
@pytest.mark.parametrize(
    "keys",
    [
        {"JWT_JWKS_URL": "https://auth.example/jwks"},
        {"JWT_ISSUER": "https://auth.example", "JWT_DISCOVERY": "true"},
        {"JWT_KEY_FILE": "issuer.pem"},
        {"JWT_SECRET": SECRET},
    ],
    ids=["url", "discovery", "file", "secret"],
)
def test_serve_with_an_issuer_and_nobody_named_whom_its_tokens_are_for_is_refused(
    tmp_path: Path, key_file: Path, keys: dict[str, str], named: dict[str, str]
) -> None:
    settings = {"JWT_ISSUER": ISSUER, "DATABASE_URL": "postgres://u@h/d", **keys, **named}
    assert key_file.exists()
    assert refusal("serve", "--port", "0", cwd=tmp_path, **settings) == REFUSALS["no audience"][1]


@pytest.mark.parametrize("name", ["jwt_audience", "jwt_authorized_parties"])
def test_config_with_an_empty_name_of_whom_tokens_are_for_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Config(**({"jwt_issuer": ISSUER, "jwt_audience": (AUDIENCE,), **KEYS} | {name: ("web", "")}))
    assert str(raised.value) == f"{name.upper()} must have no empty name."


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example/jwks",
        "http://192.168.1.2/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://localhost.evil.example/jwks",
        "http://localhost@evil.example/jwks",
        "https://user@keys.example/jwks",
        "http://0.0.0.0/jwks",
        "ftp://127.0.0.1/jwks",
        "file:///etc/passwd",
        "https:///jwks",
        "https://keys.example:port/jwks",
        "https://keys.example/jw ks",
        "keys.example/jwks",
    ],
)
def test_config_with_unsafe_address_of_keys_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^JWT_JWKS_URL must be "):
        Config(jwt_issuer=ISSUER, jwt_audience=(AUDIENCE,), jwt_jwks_url=url)


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1", "127.1.2.3:80", "[::1]:3000"])
def test_config_with_plain_http_on_this_machine_is_taken(host: str) -> None:
    config = Config(jwt_issuer=ISSUER, jwt_audience=(AUDIENCE,), jwt_jwks_url=f"http://{host}/jwks")
    assert config.algorithms == ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256")


PRIVATE = OLD.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
ED448 = ed448.Ed448PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (PRIVATE, "must be a public key in PEM or a JWK: a private key, which must stay with the issuer."),
        (ED448, "must be a public key in PEM or a JWK: a key of another kind."),
        (b'{"keys": 1}', "must be a public key in PEM or a JWK: no JWK set."),
        (b'{"kty": "oct", "k": "AAAA"}', "has no public key for EdDSA, ES256, ES384, ES512, RS256, PS256."),
        (Signer("RS256", bits=1024).pem(), "has no public key for EdDSA, ES256, ES384, ES512, RS256, PS256."),
    ],
    ids=["private", "Ed448", "no set", "secret", "short"],
)
def test_serve_with_unusable_key_file_says_why_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "key").write_bytes(content)
    settings = {
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "JWT_KEY_FILE": "key",
        "DATABASE_URL": "postgres://u@h/d",
    }
    assert refusal("serve", "--port", "0", cwd=tmp_path, **settings) == f"JWT_KEY_FILE key {why}"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"JWT_KEY_FILE": "absent"}, "JWT_KEY_FILE absent cannot be read: No such file or directory."),
        ({"JWT_KEY_FILE": "."}, "JWT_KEY_FILE . cannot be read: Is a directory."),
        (
            {"JWT_JWKS_URL": "https://auth.example/jwks", "JWT_CA_FILE": "absent"},
            "JWT_CA_FILE absent cannot be used: No such file or directory.",
        ),
        ({"JWT_DISCOVERY": "yes"}, "JWT_DISCOVERY must be true or false."),
        (
            {"JWT_JWKS_URL": "http://auth.example/jwks"},
            "JWT_JWKS_URL must be https. Plain http is only for addresses of this machine.",
        ),
    ],
    ids=["absent", "folder", "authorities", "switch", "http"],
)
def test_serve_with_unusable_setting_says_which_in_one_line(
    tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    settings = {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE, "DATABASE_URL": "postgres://u@h/d", **settings}
    assert refusal("serve", "--port", "0", cwd=tmp_path, **settings) == line


def test_cursor_secret_with_public_keys_is_the_same_by_every_way_to_the_database() -> None:
    def secret(url: str, **more: Any) -> bytes:
        return cursor_secret(Config(**EXTERNAL, database_url=url, **more))

    here = secret("postgresql://tasks:p%40ss@db.example/tasks")
    assert secret("postgres://tasks:p%40ss@pooler.example:6543/tasks?sslmode=require") == here
    assert secret("postgresql://tasks:other@db.example/tasks") != here
    assert secret("postgresql:///tasks?host=/run/postgresql") == secret("postgresql:///tasks?host=/run/postgresql")
    assert secret("postgresql://tasks:p%40ss@db.example/tasks", cursor_secret=SECRET) == SECRET.encode()
    assert b"p@ss" not in here


def sized(length: int) -> str:
    """A good token of exactly so many characters."""
    for beyond in range(4):  # base64 has no length of one more than a multiple of four
        header = OLD.header(pad="x" * beyond)
        for filling in range(length * 3 // 4 - 800, length):
            token = OLD.sign(header, json.dumps(claims(pad="x" * filling)).encode())
            if len(token) == length:
                return token
            if len(token) > length:
                break
    raise AssertionError(length)


def test_verify_of_token_of_16384_characters_holds_and_of_one_more_does_not(key_file: Path) -> None:
    found = {length: verdict(sized(length), jwt_key_file=key_file) for length in (16_384, 16_385)}
    assert found == {16_384: HOLDS, 16_385: REFUSED}
