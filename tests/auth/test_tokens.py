"""Bearer tokens: which hold, and how each of the others is refused (RFC 6750, RFC 7519, RFC 8725)."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.processes import soon
from todo_api.auth.tokens import Identity, VerifiedTokenCache

TASKS = "/api/v1/me/tasks"
NOW = int(time.time())
CLAIMS: dict[str, Any] = {"iss": "task-api", "aud": "task-api", "sub": "ada", "iat": NOW, "exp": NOW + 3600}
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
HOLDS_NOT = 'Bearer realm="task-api", error="invalid_token", error_description="The token is invalid."'
EXPIRED = 'Bearer realm="task-api", error="invalid_token", error_description="The token has expired."'
SEND_ONE = (
    'Bearer realm="task-api", error="invalid_token", '
    'error_description="Send one Authorization field: Bearer, a space, the token."'
)


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(head: str, payload: str, secret: str = SECRET, digest: str = "sha256") -> str:
    """A token of these two parts, whatever is in them."""
    return f"{head}.{payload}.{encode(hmac.digest(secret.encode(), f'{head}.{payload}'.encode(), digest))}"


def forged(header: dict[str, Any] | None = None, secret: str = SECRET, digest: str = "sha256", **claims: Any) -> str:
    """A well-signed token with claims changed; None takes one away."""
    merged = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    head = encode(json.dumps(HEADER | (header or {})).encode())
    return signed(head, encode(json.dumps(merged).encode()), secret, digest)


def of_text(payload: str | bytes, head: str | bytes = '{"alg":"HS256"}') -> str:
    """A well-signed token with this very text in it."""
    parts = [part.encode() if isinstance(part, str) else part for part in (head, payload)]
    return signed(encode(parts[0]), encode(parts[1]))


def assert_unauthorized(reply: Reply, challenge: str) -> None:
    assert reply.status == 401, reply.body
    detail = challenge.rpartition('error_description="')[2].rstrip('"') if "error" in challenge else None
    assert reply.json() == {
        "type": "/problems/unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": detail or "This operation needs a bearer token.",
        "code": "unauthorized",
        "request_id": reply.headers["x-request-id"],
    }
    assert [value for name, value in reply.header_list if name == "www-authenticate"] == [challenge]
    assert reply.headers["cache-control"] == "no-store"


TEXT = json.dumps(CLAIMS)

GOOD: dict[str, Callable[[], str]] = {
    "plain": forged,
    "without typ": lambda: of_text(TEXT),
    "audience in a list": lambda: forged(aud=["other", "task-api"]),
    "issued a moment ahead": lambda: forged(iat=int(time.time()) + 30),
    "expired a moment ago": lambda: forged(exp=int(time.time()) - 30),
    "valid from now": lambda: forged(nbf=NOW),
    "times with fractions": lambda: forged(iat=NOW + 0.5, exp=NOW + 3600.5),
    "further claims": lambda: forged(name="Ada", nested={"a": [1, None]}, jti="1"),
    "key id": lambda: forged({"kid": "1"}),
    "last second of 9999": lambda: forged(exp=253402300799),
}


GOOD_TYPES = (
    *("JWT", "jwt", "Jwt", "at+jwt", "at+JWT", "AT+JWT"),
    *("application/jwt", "application/at+jwt", "Application/AT+JWT", "APPLICATION/JWT"),
)
BAD_TYPES: tuple[object, ...] = (
    *("id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "LOGOUT+JWT"),
    *("application/id+jwt", "application/logout+jwt", "Application/DPoP+JWT", "application/secevent+jwt"),
    *("", " ", " JWT", "JWT ", "at+jwt;v=1", "/jwt", "application/", "application/application/jwt", "text/jwt", "jws"),
    *("at+jwt+x", "xat+jwt", "JOSE", 1, True, None, ["JWT"], {"JWT": 1}),
)
GOOD |= {f"typ {kind}": lambda kind=kind: forged({"typ": kind}) for kind in GOOD_TYPES}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_list_tasks_with_good_token_is_answered(anonymous: Client, make: Callable[[], str]) -> None:
    assert anonymous.signed_in(make()).get(TASKS).status == 200


def test_list_tasks_with_scheme_in_other_case_is_answered(anonymous: Client) -> None:
    assert anonymous.get(TASKS, headers={"Authorization": f"bEARER {forged()}"}).status == 200


SUBJECTS = [
    "01932c05-2b1e-7d40-8f2f-3f1a6b7c8d9e",
    "ada@example.com",
    "auth0|5f7c8ec7",
    "1",
    "a/b",
    "ада",
    "a b",
    "x" * 255,
    "\U0001f600",
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_create_task_with_subject_of_any_issuer_is_theirs(anonymous: Client, subject: str) -> None:
    assert anonymous.signed_in(forged(sub=subject)).post(TASKS, {"title": "Mine"}).json()["user_id"] == subject


BAD: dict[str, Callable[[], str]] = {
    "other secret": lambda: forged(secret="another-secret-of-32-bytes-or-more!"),
    "empty signature": lambda: forged().rpartition(".")[0] + ".",
    "no signature": lambda: forged().rpartition(".")[0],
    "cut signature": lambda: forged()[:-4],
    "alg none": lambda: ".".join([encode(b'{"alg":"none"}'), encode(TEXT.encode()), ""]),
    "alg none, signed": lambda: forged({"alg": "none"}),
    "alg None": lambda: forged({"alg": "None"}),
    "alg HS512": lambda: forged({"alg": "HS512"}, digest="sha512"),
    "alg HS384": lambda: forged({"alg": "HS384"}, digest="sha384"),
    "alg hs256": lambda: forged({"alg": "hs256"}),
    "alg RS256": lambda: forged({"alg": "RS256"}),
    "alg EdDSA": lambda: forged({"alg": "EdDSA"}),
    "alg in a list": lambda: forged({"alg": ["HS256"]}),
    "alg null": lambda: forged({"alg": None}),
    "no alg": lambda: of_text(TEXT, "{}"),
    **{f"typ {kind!r}": lambda kind=kind: forged({"typ": kind}) for kind in BAD_TYPES},
    "zip": lambda: forged({"zip": "DEF"}),
    "enc": lambda: forged({"enc": "A256GCM"}),
    "crit": lambda: forged({"crit": ["exp"]}),
    "b64 false": lambda: forged({"b64": False, "crit": ["b64"]}),
    "kid a list": lambda: forged({"kid": ["1"]}),
    "header a list": lambda: of_text(TEXT, "[]"),
    "other issuer": lambda: forged(iss="https://task-api"),
    "issuer with slash": lambda: forged(iss="task-api/"),
    "issuer in a list": lambda: forged(iss=["task-api"]),
    "issuer empty": lambda: forged(iss=""),
    "other audience": lambda: forged(aud="other"),
    "audience empty list": lambda: forged(aud=[]),
    "audience of others": lambda: forged(aud=["a", "b"]),
    "audience mixed list": lambda: forged(aud=["task-api", 1]),
    "audience an object": lambda: forged(aud={"task-api": 1}),
    **{f"no {name}": lambda name=name: forged(**{name: None}) for name in CLAIMS},
    **{f"{name} null": lambda name=name: of_text(json.dumps(CLAIMS | {name: None})) for name in CLAIMS},
    "exp a string": lambda: forged(exp=str(NOW + 3600)),
    "exp a string with underscores": lambda: forged(exp=" 9_999_999_999 "),
    "exp in Arabic digits": lambda: forged(exp="٩٩٩٩٩٩٩٩٩٩"),
    "exp in milliseconds": lambda: forged(exp=(NOW + 3600) * 1000),
    "exp huge": lambda: forged(exp=10**30),
    "exp a huge float": lambda: forged(exp=1e300),
    "exp beyond 9999": lambda: forged(exp=253402300800),
    "exp Infinity": lambda: forged(exp=float("inf")),
    "exp NaN": lambda: forged(exp=float("nan")),
    "exp of 5000 digits": lambda: of_text(TEXT.replace(str(CLAIMS["exp"]), "9" * 5000)),
    "exp a list": lambda: forged(exp=[NOW + 3600]),
    "iat a string": lambda: forged(iat=str(NOW)),
    "iat true": lambda: forged(iat=True),
    "iat negative": lambda: forged(iat=-1),
    "iat to come": lambda: forged(iat=int(time.time()) + 3600),
    "nbf to come": lambda: forged(nbf=int(time.time()) + 3600),
    "nbf a string": lambda: forged(nbf=str(NOW)),
    "nbf false": lambda: forged(nbf=False),
    "sub empty": lambda: forged(sub=""),
    "sub blank": lambda: forged(sub=" "),
    "sub with blanks around": lambda: forged(sub=" ada"),
    "sub a number": lambda: forged(sub=1),
    "sub true": lambda: forged(sub=True),
    "sub a list": lambda: forged(sub=["ada"]),
    "sub an object": lambda: forged(sub={"id": "ada"}),
    "sub with NUL": lambda: forged(sub="a\x00da"),
    "sub with line break": lambda: forged(sub="a\nda"),
    "sub with C1 control": lambda: forged(sub="a\x85da"),
    "sub a lone surrogate": lambda: forged(sub="\ud800"),
    "sub of 256 characters": lambda: forged(sub="x" * 256),
    "duplicate sub": lambda: of_text(TEXT[:-1] + ', "sub": "bob"}'),
    "duplicate of the same": lambda: of_text(TEXT[:-1] + ', "sub": "ada"}'),
    "duplicate below": lambda: of_text(TEXT[:-1] + ', "x": {"a": 1, "a": 2}}'),
    "duplicate alg": lambda: of_text(TEXT, '{"alg":"none","alg":"HS256"}'),
    "payload in UTF-16": lambda: of_text(TEXT.encode("utf-16")),
    "payload in UTF-16 without mark": lambda: of_text(TEXT.encode("utf-16-le")),
    "payload in UTF-32": lambda: of_text(TEXT.encode("utf-32")),
    "payload with byte order mark": lambda: of_text(TEXT.encode("utf-8-sig")),
    "payload in Latin-1": lambda: of_text(json.dumps(CLAIMS | {"n": "ä"}, ensure_ascii=False).encode("latin-1")),
    "header in UTF-16": lambda: of_text(TEXT, '{"alg":"HS256"}'.encode("utf-16")),
    "header with byte order mark": lambda: of_text(TEXT, '{"alg":"HS256"}'.encode("utf-8-sig")),
    "payload a list": lambda: of_text("[]"),
    "payload a string": lambda: of_text('"ada"'),
    "payload null": lambda: of_text("null"),
    "payload empty": lambda: of_text(""),
    "payload no JSON": lambda: of_text("{"),
    "payload nested deeply": lambda: of_text('{"a":' * 2000 + "1" + "}" * 2000),
    "padding at the signature": lambda: f"{forged()}=",
    "padding of the payload": lambda: signed(
        encode(b'{"alg":"HS256"}'), base64.urlsafe_b64encode(f"{TEXT}  ".encode()).decode()
    ),
    "padding of the header": lambda: signed(
        base64.urlsafe_b64encode(b'{"alg":"HS256"} ').decode(), encode(TEXT.encode())
    ),
    "20 kB": lambda: forged(name="x" * 20000),
    "four parts": lambda: f"{forged()}.x",
    "five parts": lambda: f"{forged()}.x.y",
    "undefined": lambda: "undefined",
    "null": lambda: "null",
    "object": lambda: "[object Object]",
    "dots": lambda: "..",
    "session token of Better Auth": lambda: (
        "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE.8uJm+Q/1r7b3nVtN5w2yFhKxZs6PdGcRaLoTiEeUvYk="
    ),
    "with a blank within": lambda: forged().replace(".", " .", 1),
    "two tokens": lambda: f"{forged()}, Bearer {forged()}",
    "not ASCII": lambda: f"{forged()}\xe4",
    "quoted": lambda: f'"{forged()}"',
    "blanks alone": lambda: "   ",
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_list_tasks_with_bad_token_is_unauthorized(anonymous: Client, make: Callable[[], str]) -> None:
    assert_unauthorized(anonymous.signed_in(make()).get(TASKS), HOLDS_NOT)


@pytest.mark.parametrize("ago", [61, 3600, NOW], ids=["a minute", "an hour", "since 1970"])
def test_list_tasks_with_expired_token_is_unauthorized(anonymous: Client, ago: int) -> None:
    expired = forged(iat=0, exp=int(time.time()) - ago if ago != NOW else 0)
    assert_unauthorized(anonymous.signed_in(expired).get(TASKS), EXPIRED)


def test_list_tasks_with_true_for_expiry_is_unauthorized(anonymous: Client) -> None:
    assert_unauthorized(anonymous.signed_in(forged(exp=True)).get(TASKS), EXPIRED)


def test_list_tasks_with_token_that_expires_meanwhile_is_unauthorized(anonymous: Client) -> None:
    """The leeway of a minute is nearly over, so far that the machine may take some seconds for the first request."""
    expires = int(time.time()) - 60 + 5
    client = anonymous.signed_in(forged(iat=0, exp=expires))
    assert client.get(TASKS).status == 200
    assert soon(lambda: client.get(TASKS).status == 401)
    assert time.time() >= expires + 60
    assert_unauthorized(client.get(TASKS), EXPIRED)


def test_list_tasks_without_token_is_unauthorized(anonymous: Client) -> None:
    assert_unauthorized(anonymous.get(TASKS), 'Bearer realm="task-api"')


@pytest.mark.parametrize(
    "field",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRhOnBhc3N3b3Jk",
        "Token x",
        "JWT {token}",
        "{token}",
        "Bearer\t{token}",
        "Bearer,{token}",
    ],
)
def test_list_tasks_with_other_authorization_is_unauthorized(anonymous: Client, field: str) -> None:
    reply = anonymous.get(TASKS, headers={"Authorization": field.format(token=forged())})
    if field.startswith("Bearer"):
        assert_unauthorized(reply, SEND_ONE)
        return
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.json()["detail"] == "Send one Authorization field: Bearer, a space, the token."
    assert reply.headers["www-authenticate"] == 'Bearer realm="task-api"'  # no error code: RFC 6750, 3.1


@pytest.mark.parametrize("second", ["ada", "bob", None])
def test_list_tasks_with_two_authorization_fields_is_unauthorized(anonymous: Client, second: str | None) -> None:
    other = f"Bearer {token(second)}" if second else "Basic eA=="
    fields = [("Authorization", f"Bearer {token('ada')}"), ("Authorization", other)]
    assert_unauthorized(anonymous.get(TASKS, headers=fields), SEND_ONE)


def test_list_tasks_with_token_elsewhere_is_unauthorized(anonymous: Client) -> None:
    headers = {"Cookie": f"access_token={forged()}; better-auth.session_token={forged()}", "X-Access-Token": forged()}
    assert_unauthorized(anonymous.get(TASKS, headers=headers), 'Bearer realm="task-api"')


def test_create_task_with_bad_token_and_bad_body_is_unauthorized(anonymous: Client) -> None:
    reply = anonymous.signed_in("undefined").post(TASKS, content=b"{", headers={"Content-Type": "text/plain"})
    assert_unauthorized(reply, HOLDS_NOT)


def test_verify_of_remembered_token_is_done_once_until_it_expires() -> None:
    seen: list[str] = []

    def verify(text: str) -> Identity:
        seen.append(text)
        return Identity(text.upper(), 0, time.time() + (3600 if text == "lasting" else -1))

    memory = VerifiedTokenCache(verify)
    assert [memory.verify(text).subject for text in ("lasting", "short", "lasting", "short")] == [
        "LASTING",
        "SHORT",
    ] * 2
    assert seen == ["lasting", "short", "short"]


def test_verify_of_more_tokens_than_are_remembered_forgets_the_oldest() -> None:
    seen: list[str] = []

    def verify(text: str) -> Identity:
        seen.append(text)
        return Identity(text, 0, time.time() + 3600)

    memory = VerifiedTokenCache(verify, size=2)
    for text in ("one", "two", "three", "two", "one"):
        memory.verify(text)
    assert seen == ["one", "two", "three", "one"]


def test_verify_of_ten_thousand_tokens_is_remembered_and_of_one_more_is_not() -> None:
    seen: list[str] = []

    def verify(text: str) -> Identity:
        seen.append(text)
        return Identity(text, 0, time.time() + 3600)

    memory = VerifiedTokenCache(verify)
    tokens = [str(number) for number in range(10_000)]
    for text in [*tokens, *tokens, "one more", *tokens[1:], tokens[0]]:
        memory.verify(text)
    assert seen == [*tokens, "one more", tokens[0]]


def test_verify_of_token_remembered_to_its_end_is_done_again_then_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    now = 1_000.0
    monkeypatch.setattr("todo_api.auth.tokens.time.time", lambda: now)

    def verify(text: str) -> Identity:
        seen.append(text)
        return Identity(text, 0, 1_900)

    memory = VerifiedTokenCache(verify)
    for moment in (1_000.0, 1_899.999, 1_900.0):
        now = moment
        memory.verify("lasting")
    assert len(seen) == 2
