"""Times that clients send: every spelling of RFC 3339, section 5.6, is one instant, and nothing else is taken."""

import pytest

from tests.support.client import Client, Reply

KEYS = "/api/v1/me/keys"

TAKEN = {
    "Z": ("2997-11-20T00:00:00Z", "2997-11-20T00:00:00Z"),
    "lower case": ("2997-11-20t00:00:00z", "2997-11-20T00:00:00Z"),
    "Python's isoformat": ("2997-11-20T00:00:00+00:00", "2997-11-20T00:00:00Z"),
    "Python's isoformat with digits": ("2997-11-20T00:00:00.000001+00:00", "2997-11-20T00:00:00.000001Z"),
    "JavaScript": ("2997-11-20T00:00:00.000Z", "2997-11-20T00:00:00Z"),
    ".NET": ("2997-11-20T00:00:00.1234567+00:00", "2997-11-20T00:00:00.123456Z"),
    "Go": ("2997-11-20T00:00:00.123456789Z", "2997-11-20T00:00:00.123456Z"),
    "cut off": ("2997-11-20T23:59:59.9999999Z", "2997-11-20T23:59:59.999999Z"),
    "one digit": ("2997-11-20T00:00:00.5Z", "2997-11-20T00:00:00.500000Z"),
    "300 digits": (f"2997-11-20T00:00:00.{'1' * 300}Z", "2997-11-20T00:00:00.111111Z"),
    "unknown offset": ("2997-11-20T00:00:00-00:00", "2997-11-20T00:00:00Z"),
    "far east": ("2997-11-20T00:00:00+14:00", "2997-11-19T10:00:00Z"),
    "far west": ("2997-11-20T00:00:00-12:00", "2997-11-20T12:00:00Z"),
    "half an hour": ("2997-11-20T00:00:00+05:30", "2997-11-19T18:30:00Z"),
    "widest offset": ("2997-11-20T00:00:00-23:59", "2997-11-20T23:59:00Z"),
    "over the year": ("2997-12-31T23:00:00-01:00", "2998-01-01T00:00:00Z"),
    "leap day": ("2996-02-29T00:00:00Z", "2996-02-29T00:00:00Z"),
    "leap second": ("2997-12-31T23:59:60Z", "2998-01-01T00:00:00Z"),
    "leap second elsewhere": ("2997-12-31T15:59:60.25-08:00", "2998-01-01T00:00:00.250000Z"),
    "first of 3000": ("3000-01-01T00:00:00Z", "3000-01-01T00:00:00Z"),
    "last": ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    "last elsewhere": ("9999-12-31T23:59:59+00:01", "9999-12-31T23:58:59Z"),
}
REFUSED = {
    "no offset": "2997-11-20T00:00:00",
    "blank for T": "2997-11-20 00:00:00Z",
    "underscore for T": "2997-11-20_00:00:00Z",
    "blank before offset": "2997-11-20T00:00:00 Z",
    "blank around": " 2997-11-20T00:00:00Z",
    "line break after": "2997-11-20T00:00:00Z\n",
    "offset without colon": "2997-11-20T00:00:00+0000",
    "offset of hours": "2997-11-20T00:00:00+00",
    "offset of 24": "2997-11-20T00:00:00+24:00",
    "offset of 60 minutes": "2997-11-20T00:00:00+00:60",
    "offset with seconds": "2997-11-20T00:00:00+00:00:00",
    "two offsets": "2997-11-20T00:00:00Z+00:00",
    "minus sign": "2997-11-20T00:00:00\u221201:00",
    "no seconds": "2997-11-20T00:00+00:00",
    "date": "2997-11-20T",
    "basic format": "29971120T000000.0000Z",
    "comma": "2997-11-20T00:00:00,5Z",
    "point without digits": "2997-11-20T00:00:00.Z",
    "other digits": "\u0662997-11-20T00:00:00Z",
    "hour 24": "2997-11-20T24:00:00Z",
    "minute 60": "2997-11-20T00:60:00Z",
    "second 61": "2997-12-31T23:59:61Z",
    "leap second within a day": "2997-12-31T22:59:60Z",
    "leap second within a month": "2997-12-30T23:59:60Z",
    "leap second of another day in UTC": "2997-12-31T23:59:60+01:00",
    "leap second of the last year": "9999-12-31T23:59:60Z",
    "month 13": "2997-13-01T00:00:00Z",
    "no leap year": "2997-02-29T00:00:00Z",
    "year 0": "0000-01-01T00:00:00Z",
    "before year 1 in UTC": "0001-01-01T00:00:00+14:00",
    "after year 9999 in UTC": "9999-12-31T23:59:59-01:00",
    "five digits of a year": "+12997-11-20T00:00:00Z",
    "week": "2997-W47-2T00:00:00Z",
}


def create(client: Client, expires_at: object) -> Reply:
    return client.post(KEYS, {"name": "Until then", "scopes": ["tasks:read"], "expires_at": expires_at})


@pytest.mark.parametrize(("sent", "kept"), TAKEN.values(), ids=TAKEN)
def test_create_api_key_with_any_spelling_of_a_time_keeps_the_instant(ada: Client, sent: str, kept: str) -> None:
    reply = create(ada, sent)
    assert (reply.status, reply.json()["expires_at"]) == (201, kept)
    assert ada.get(KEYS).json()["items"][0]["expires_at"] == kept


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_create_api_key_with_what_is_no_time_is_refused(ada: Client, sent: str) -> None:
    reply = create(ada, sent)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert ("/expires_at", "format") in [(error["pointer"], error["code"]) for error in reply.json()["errors"]]


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00Z", "1990-12-31T23:59:60Z", "2026-01-01T00:00:00+00:00"])
def test_create_api_key_with_a_time_that_is_past_is_refused(ada: Client, sent: str) -> None:
    (error,) = create(ada, sent).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/expires_at", "too_small")


@pytest.mark.parametrize("sent", [2997, 32438016000, True, {}, ["2997-11-20T00:00:00Z"]])
def test_create_api_key_with_a_time_of_another_type_is_refused(ada: Client, sent: object) -> None:
    (error,) = create(ada, sent).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/expires_at", "wrong_type")


def test_create_api_key_with_a_time_sent_again_as_a_retry_replays(ada: Client) -> None:
    """The same text is the same request, whatever its spelling."""
    body = {"name": "Until then", "scopes": ["tasks:read"], "expires_at": "2997-11-20T00:00:00.123456789+14:00"}
    headers = {"Idempotency-Key": "time-of-a-retry-7d1f5a36"}
    first, second = (ada.post(KEYS, body, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
