"""Several hundred tokens that an external issuer did not issue, or did not mean for us: each is 401, and none brings down anything."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.cases import case
from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.issuers import AUDIENCE, ISSUER, Signer, claims, encode, hmac_token, key_server, publish, serving
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
HOLDS_NOT = 'Bearer realm="task-api", error="invalid_token", error_description="The token is invalid."'
EXPIRED = 'Bearer realm="task-api", error="invalid_token", error_description="The token has expired."'
ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256")
SIGNERS = [Signer(algorithm, f"key-{algorithm}") for algorithm in ALGORITHMS]
EDDSA, RSA = SIGNERS[0], SIGNERS[4]
THIEF, RSA_THIEF = Signer("EdDSA", "key-EdDSA"), Signer("RS256", "key-RS256")
NOW = int(time.time())

Forgeries = Iterator[tuple[str, str]]
"""Names and tokens."""


def confused() -> Forgeries:
    """Public keys as HMAC secrets, in every form that a verifier might hold them, and `alg` in every other form."""
    for signer in SIGNERS:
        public = signer.private.public_key()
        jwk = signer.jwk()
        forms = {
            "PEM": signer.pem(),
            "PEM without its last line break": signer.pem().strip(),
            "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "JWK": json.dumps(jwk).encode(),
            "x or n as published": str(jwk.get("x") or jwk["n"]).encode(),
            "JWK, sorted": json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode(),
        }
        if signer.algorithm == "EdDSA":
            forms["raw"] = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        for form, secret in forms.items():
            for algorithm in ("HS256", "HS384", "HS512"):
                yield f"{algorithm} under {signer.algorithm} as {form}", hmac_token(secret, algorithm)
        head, payload, signature = signer.token().split(".")
        for name in ("none", "None", "NONE", "nOnE", ""):
            other = encode(signer.header(alg=name))
            yield f"{signer.algorithm} as {name!r}", f"{other}.{payload}.{signature}"
            yield f"{signer.algorithm} as {name!r}, signature empty", f"{other}.{payload}."
        for other_algorithm in sorted({*ALGORITHMS, "RS384", "ES256K", "HS256", "dir", "Ed448"} - {signer.algorithm}):
            yield (
                f"{signer.algorithm} as {other_algorithm}",
                signer.sign(signer.header(alg=other_algorithm), json.dumps(claims()).encode()),
            )
        yield f"{signer.algorithm} without signature", f"{head}.{payload}"
        yield f"{signer.algorithm} signature empty", f"{head}.{payload}."
        yield f"{signer.algorithm} signature cut", f"{head}.{payload}.{signature[:-4]}"
        yield f"{signer.algorithm} signature of zeros", f"{head}.{payload}.{encode(bytes(64))}"
        yield (
            f"{signer.algorithm} signature of another token",
            f"{head}.{payload}.{signer.token(sub='bob').split('.')[2]}",
        )
        yield f"{signer.algorithm} payload exchanged", f"{head}.{signer.token(sub='bob').split('.')[1]}.{signature}"
        yield f"{signer.algorithm} signed by a thief", Signer(signer.algorithm, signer.key_id).token()


KEY_IDS: list[Any] = [
    ["key-EdDSA"],
    {"key-EdDSA": 1},
    1,
    True,
    "",
    "../../../../../../dev/null",
    "/proc/self/environ",
    "' OR '1'='1",
    "x' UNION SELECT 'secret' --",
    "key-EdDSA\x00",
    "key-EdDSA\r\nX-Injected: 1",
    "KEY-EDDSA",
    "\u202ekey",
    "k" * 5000,
    "$(id)",
    "{{7*7}}",
]


def pointing(thief_url: str) -> Forgeries:
    """Headers that lead to keys of the sender's own."""
    for thief in (THIEF, RSA_THIEF):
        for kid in (thief.key_id, "mine", None):
            for name, value in {
                "jku": thief_url,
                "x5u": thief_url,
                "jwk": thief.jwk(),
                "x5c": [encode(thief.pem())],
                "x5t": "AAAA",
                "iss": ISSUER,
            }.items():
                yield f"{thief.algorithm} {name} with kid {kid}", thief.token({name: value, "kid": kid})
    for number, kid in enumerate([*KEY_IDS, thief_url]):
        yield f"kid {number}", THIEF.token({"kid": kid})
    for name, value in {
        "crit": ["exp"],
        "crit empty": [],
        "b64": False,
        "zip": "DEF",
        "enc": "A256GCM",
        "typ logout": "logout+jwt",
        "typ a list": ["JWT"],
        "typ a number": 1,
        "alg a list": ["EdDSA"],
        "alg an object": {"EdDSA": 1},
        "alg a number": 1,
    }.items():
        header: dict[str, Any] = {name.partition(" ")[0]: value}
        if name == "b64":
            header["crit"] = ["b64"]
        yield f"header {name}", EDDSA.token(header)


BAD_CLAIMS: dict[str, list[Any]] = {
    "iss": [
        "",
        "http://evil.example",
        f"{ISSUER}/",
        ISSUER.upper(),
        f" {ISSUER}",
        [ISSUER],
        {ISSUER: 1},
        1,
        True,
        None,
    ],
    "aud": ["", "other", f"{AUDIENCE}/", [], ["other"], [AUDIENCE, 1], {AUDIENCE: 1}, 1, True, None],
    "sub": [
        "",
        " ",
        " ada",
        "ada ",
        "a\x00da",
        "a\nda",
        "a\x7fda",
        "\ud800",
        "x" * 256,
        1,
        1.5,
        True,
        ["ada"],
        {"a": 1},
        None,
    ],
    "exp": [
        "",
        "soon",
        str(NOW + 900),
        "9_999_999_999",
        "٩٩٩٩٩٩٩٩٩٩",
        (NOW + 900) * 1000,
        10**30,
        1e300,
        [NOW],
        {},
        None,
    ],
    "iat": ["", str(NOW), NOW + 3600, -1, 10**30, 1e300, True, [NOW], {}, None],
    "nbf": ["", str(NOW), NOW + 3600, -1, 10**30, False, [NOW], {}],
}


def mistaken() -> Forgeries:
    """Tokens that the issuer did sign, with claims that are not for us or of no use."""
    for name, values in BAD_CLAIMS.items():
        for number, value in enumerate(values):
            # Not the value in the name: it may be of the moment, and the processes of a run must agree on the names.
            yield f"{name} {number} {type(value).__name__}", EDDSA.token(**{name: value})
    text = json.dumps(claims())
    payloads = {
        "list": b"[]",
        "string": b'"ada"',
        "null": b"null",
        "empty": b"",
        "no JSON": b"{",
        "NaN": text.replace(str(claims()["iat"]), "NaN").encode(),
        "NaN in an unknown claim": (text[:-1] + ', "x": NaN}').encode(),
        "Infinity in an unknown claim": (text[:-1] + ', "x": -Infinity}').encode(),
        "UTF-16": text.encode("utf-16"),
        "byte order mark": text.encode("utf-8-sig"),
        "not UTF-8": text.encode().replace(b"ada", b"\xff"),
        "repeated claim": (text[:-1] + ', "sub": "bob"}').encode(),
        "nested": (text[:-1] + ', "x": ' + "[" * 4000 + "]" * 4000 + "}").encode(),
        "nested beyond Python's stack": b"[" * 12000,
        "number of 5000 digits": text.replace(str(claims()["exp"]), "9" * 5000).encode(),
        "17 kB": (text[:-1] + f', "x": "{"y" * 17000}"' + "}").encode(),
    }
    for name, payload in payloads.items():
        yield f"payload {name}", EDDSA.sign(EDDSA.header(), payload)
    headers = {
        "list": b"[]",
        "null": b"null",
        "no JSON": b"{",
        "without alg": b"{}",
        "repeated alg": b'{"alg":"none","alg":"EdDSA","kid":"key-EdDSA"}',
        "UTF-16": EDDSA.header().decode().encode("utf-16"),
        "nested": b'{"alg":' + b"[" * 5000,
    }
    for name, header in headers.items():
        yield f"header {name}", EDDSA.sign(header, text.encode())


def misshapen() -> Forgeries:
    """What is no token at all, or one in the wrong clothes."""
    good = EDDSA.token()
    head, payload, signature = good.split(".")
    shapes = {
        "undefined": "undefined",
        "null": "null",
        "object": "[object Object]",
        "dots": "..",
        "four parts": f"{good}.x",
        "five parts, as a JWE": f"{good}.x.y",
        "padded": f"{good}==",
        "padded within": f"{head}=.{payload}.{signature}",
        "standard base64": good.replace("-", "+").replace("_", "/") + "+",
        "blank within": f"{head}. {payload}.{signature}",
        "comma": f"{good},{good}",
        "quoted": f'"{good}"',
        "not ASCII": f"{good}\xe4",
        "tab": f"{good}\t",
        "session token": "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE",
        "signed session token": "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE.8uJm+Q/1r7b3nVtN5w2yFhKxZs6PdGcRaLoTiEeUvYk=",
        "JSON serialization": json.dumps({"payload": payload, "protected": head, "signature": signature}),
        "percent-encoded": good.replace(".", "%2E"),
        "16 kB of dots": "." * 16384,
        "60 kB": "x" * 60000,
    }
    yield from shapes.items()


@pytest.fixture(scope="module")
def judged(url: str, check: ContractCheck) -> Iterator[dict[str, Reply]]:
    """The reply to every forgery, by its name, sent many at a time: those with unknown keys wait for a fetch."""
    with key_server(publish(THIEF, RSA_THIEF)) as thief, key_server(publish(*SIGNERS)) as server:
        config = Config(
            database_url=url,
            jwt_issuer=ISSUER,
            jwt_jwks_url=server.url,
            jwt_audience=(AUDIENCE,),
            jwt_keys_cooldown=1,
            queue_limit=60_000,  # however slow the machine
        )
        forgeries = [*confused(), *pointing(thief.url), *mistaken(), *misshapen()]
        with serving(config, check) as client, ThreadPoolExecutor(40) as pool:
            assert [client.signed_in(signer.token()).get(TASKS).status for signer in SIGNERS] == [200] * 6
            replies = pool.map(lambda forgery: client.signed_in(forgery[1]).get(TASKS), forgeries)
            yield dict(zip((name for name, _ in forgeries), replies, strict=True))
            assert [client.signed_in(signer.token()).get(TASKS).status for signer in SIGNERS] == [200] * 6
        assert thief.paths == []


def names(forgeries: Callable[[], Forgeries]) -> list[str]:
    found = [name for name, _ in forgeries()]
    assert len(found) == len(set(found))
    return found


def assert_refused(reply: Reply, challenge: str = HOLDS_NOT) -> None:
    assert reply.status == 401, reply.body
    assert [value for name, value in reply.header_list if name == "www-authenticate"] == [challenge]
    assert reply.json() == {
        "type": "/problems/unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": challenge.rpartition('error_description="')[2].rstrip('"'),
        "code": "unauthorized",
        "request_id": reply.headers["x-request-id"],
    }


def test_list_tasks_with_confused_algorithm_is_unauthorized(judged: dict[str, Reply]) -> None:
    for name in names(confused):
        with case(name):
            assert_refused(judged[name])


def test_list_tasks_with_key_of_the_senders_own_is_unauthorized(judged: dict[str, Reply]) -> None:
    for name in names(lambda: pointing("")):
        with case(name):
            assert_refused(judged[name])


def test_list_tasks_with_signed_nonsense_is_unauthorized(judged: dict[str, Reply]) -> None:
    for name in names(mistaken):
        with case(name):
            assert_refused(judged[name])


def test_list_tasks_with_something_else_than_a_token_is_unauthorized(judged: dict[str, Reply]) -> None:
    for name in names(misshapen):
        with case(name):
            assert_refused(judged[name])


def test_list_tasks_with_forgeries_are_several_hundred(judged: dict[str, Reply]) -> None:
    assert len(judged) > 400
