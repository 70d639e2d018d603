"""The judge of what a run says: it finds what is planted, wherever and in whatever form, and lets pass what may stand there."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.credentials import SECRET, token
from tests.support.discretion import Discretion, Listener
from todo_api.api_keys import secret as api_keys

ROOT = Path(__file__).parents[2]
JWT = token("walrus")
KEY = api_keys.make()
FAMILY, LATEST = "F0" + "f" * 20 + "abcdefghijklmnopqrstu", "L1" + "l" * 20 + "abcdefghijklmnopqrstu"
REFRESH = f"tdr_{FAMILY}{LATEST}"
PASSWORD = 'the "walrus" and the c\xe4rpenter'
EMAIL = "Walrus.17@Sea.example"
AGAIN = "the-key-of-a-retry-17"
LINE = '{"time":"2026-11-25T23:00:00Z","event":"request","operation":"listTasks","status":200,"detail":"%s"}'

SAID: dict[str, Callable[[Discretion, str], None]] = {
    "a line of JSON": lambda judge, text: judge.text("log", f"the first\n{LINE % text}\nthe last"),
    "a line of text": lambda judge, text: judge.text("log", f"2026 info request route=/x detail={text} status=200"),
    "an error's detail": lambda judge, text: judge.received(400, [], json.dumps({"detail": text}).encode()),
    "an error's id": lambda judge, text: judge.received(400, [], json.dumps({"request_id": text}).encode()),
    "an error's task": lambda judge, text: judge.received(
        412, [], json.dumps({"current": {"title": text}, "request_id": "0" * 32}).encode()
    ),
    "no problem": lambda judge, text: judge.received(502, [], f"<h1>{text}</h1>".encode()),
    "a header": lambda judge, text: judge.received(401, [("www-authenticate", f'Bearer error="{text}"')], b"{}"),
    "the header of the id": lambda judge, text: judge.received(429, [("x-request-id", text)], b""),
    "metrics": lambda judge, text: judge.received(200, [], f'# HELP x\nx{{operation="{text}"}} 1\n'.encode()),
}

SENT: dict[str, tuple[Callable[[Discretion], None], tuple[str, ...]]] = {
    "authorization": (
        lambda judge: judge.sent([("authorization", f"Bearer {JWT}")], b""),
        (JWT, JWT[:-1] + JWT[-1] + "17", JWT.rpartition(".")[2]),
    ),
    "idempotency-key": (lambda judge: judge.sent([("idempotency-key", f'"{AGAIN}"')], b""), (AGAIN, f"17{AGAIN}17")),
    "password": (
        lambda judge: judge.sent([], json.dumps({"password": PASSWORD}).encode()),
        (PASSWORD,),
    ),
    "current_password": (
        lambda judge: judge.sent([], b'{"current_password": "the walrus and the carpenter"}'),
        ("the walrus and the carpenter", "The%20walrus%20and%20the%20carpenter"),
    ),
    "email": (
        lambda judge: judge.sent([], json.dumps({"email": EMAIL}).encode()),
        (EMAIL, EMAIL.lower(), f"email {EMAIL} from 192.0.2.1", EMAIL.replace("@", "%40")),
    ),
    "refresh_token": (
        lambda judge: judge.sent([], json.dumps({"refresh_token": REFRESH}).encode()),
        (REFRESH, FAMILY, LATEST),
    ),
    "access_token": (lambda judge: judge.received(200, [], b'{"access_token":"%s"}' % JWT.encode()), (JWT,)),
    "key": (lambda judge: judge.received(201, [], b'{"key":"%s"}' % KEY.encode()), (KEY, KEY[10:])),
    "JWT_SECRET": (lambda judge: judge.given({"JWT_SECRET": SECRET}), (SECRET,)),
    "DATABASE_URL": (
        lambda judge: judge.given({"DATABASE_URL": "postgresql://tasks:an-open-sesame@localhost/tasks"}),
        ("an-open-sesame",),
    ),
}
PLANTED = [(kind, form) for kind, (_, forms) in SENT.items() for form in forms]


@pytest.mark.parametrize("place", SAID)
@pytest.mark.parametrize(
    ("kind", "form"), PLANTED, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(PLANTED)]
)
def test_judge_finds_what_was_sent_or_issued_wherever_it_is_said(place: str, kind: str, form: str) -> None:
    for is_sent_first in (True, False):
        judge = Discretion()
        acts = [lambda judge=judge: SENT[kind][0](judge), lambda judge=judge: SAID[place](judge, form)]
        for act in acts if is_sent_first else reversed(acts):
            act()
        (told, *_) = [each for each in judge.complaints() if each.endswith(f"holds {kind}")]
        assert os.environ["PYTEST_CURRENT_TEST"] in told
        assert form not in told


def test_judge_finds_what_goes_over_the_wire() -> None:
    judge = Discretion()
    request = f"POST /x HTTP/1.1\r\nHost: x\r\nAUTHORIZATION:bearer  {JWT}\r\nIdempotency-Key: {AGAIN}\r\n\r\n"
    judge.sent_bytes(request.encode() + json.dumps({"new_password": "the walrus"}).encode())
    judge.text("log", f"{JWT} {AGAIN} the walrus")
    kinds = {complaint.rpartition(" holds ")[2] for complaint in judge.complaints()}
    assert kinds == {"authorization", "idempotency-key", "new_password", "something like a JWT"}


@pytest.mark.parametrize("said", [JWT, REFRESH, KEY, EMAIL], ids=["JWT", "refresh token", "key", "e-mail"])
@pytest.mark.parametrize("place", SAID)
def test_judge_finds_by_its_looks_what_it_has_not_seen_being_sent(place: str, said: str) -> None:
    judge = Discretion()
    SAID[place](judge, said)
    (told,) = judge.complaints()
    assert " holds something like a" in told


@pytest.mark.parametrize("is_ascii", [True, False])
def test_judge_finds_what_is_escaped(is_ascii: bool) -> None:
    judge = Discretion()
    judge.sent([], json.dumps({"password": PASSWORD}).encode())
    judge.text("log", LINE % json.dumps(PASSWORD, ensure_ascii=is_ascii)[1:-1])
    assert [complaint.rpartition(" holds ")[2] for complaint in judge.complaints()] == ["password"]


def test_judge_lets_pass_what_may_be_said() -> None:
    judge = Discretion()
    for send, _ in SENT.values():
        send(judge)
    judge.sent([("x-request-id", f"mine-{AGAIN}")], b"")
    mine = [("x-request-id", f"mine-{AGAIN}"), ("date", "Wed, 25 Nov 2026 23:00:00 GMT")]
    own = {"id": EMAIL, "user_id": EMAIL, "email": EMAIL, "version": 3}
    judge.received(412, mine, json.dumps({"request_id": f"mine-{AGAIN}", "current": own}).encode())
    judge.received(
        200, [], json.dumps({"email": EMAIL, "refresh_token": REFRESH, "key": KEY, "hint": KEY[:10]}).encode()
    )
    judge.text("log", f'{{"request_id":"{"0af7651916cd43dd" * 2}","user":"0af7651916cd43dd","hint":"{KEY[:10]}"}}')
    judge.text("log", "2026-11-25T23:00:00Z info request status=401 code=wrong_password route=/api/v1/auth/token")
    assert judge.figures()[0] == 3
    assert judge.complaints() == []


def test_judge_takes_what_is_short_or_a_number_for_no_secret() -> None:
    judge = Discretion()
    judge.sent([("authorization", "Bearer undefined"), ("idempotency-key", "retry-1")], b'{"password": "123456789012"}')
    judge.text("log", "undefined retry-1 123456789012")
    assert judge.complaints() == []


def test_judge_hears_a_log_as_the_service_writes_it() -> None:
    judge = Discretion()
    log = logging.Logger("todo_api.planted")
    log.addHandler(Listener(judge))
    judge.sent([], json.dumps({"email": EMAIL}).encode())
    try:
        raise ValueError(EMAIL)
    except ValueError as error:
        log.exception("what it quotes is not written: %s", error)  # that is what is tested
    assert judge.complaints() == []
    assert judge.figures()[0] == 1
    log.warning("nobody is %s", EMAIL)
    assert len(judge.complaints()) == 2


PLANT = """
import logging

from tests.support.discretion import RUN

def test_innocent():
    RUN.sent([("authorization", "Bearer a-token-of-somebody")], b"")

def test_planted():
    logging.getLogger("todo_api").warning("refused: %s", "a-token-of-somebody")
"""


@pytest.mark.parametrize(
    ("processes", "planted", "code"), [(0, PLANT, 1), (1, PLANT, 1), (0, PLANT.replace("refused: %s", "%.0s"), 0)]
)
def test_run_whose_tests_pass_fails_where_something_said_a_secret(
    tmp_path: Path, processes: int, planted: str, code: int
) -> None:
    (tmp_path / "test_planted.py").write_text(planted)
    options = ["-c", str(ROOT / "setup.cfg"), "-p", "tests.support.judging", "-p", "no:cacheprovider", f"-n{processes}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_planted.py")],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == code
    assert ("log in " in done.stdout and "::test_planted (call): holds authorization" in done.stdout) == bool(code)
    assert "a-token-of-somebody" not in done.stdout
