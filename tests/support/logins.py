"""AttemptCounters to sign in, from wherever a test says."""

import itertools

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD

REGISTER = "/api/v1/auth/register"
TOKEN = "/api/v1/auth/token"
WRONG = "a wrong password of somebody"
HOME = "192.0.2.1"
_numbers = itertools.count()


def sign_in(service: Client, email: str, address: str, password: str = WRONG) -> Reply:
    body = {"email": email, "password": password}
    return service.post(TOKEN, body, headers={"X-Forwarded-For": address})


def register(service: Client, email: str, address: str) -> Reply:
    return service.post(REGISTER, {"email": email, "password": PASSWORD}, headers={"X-Forwarded-For": address})


def anywhere() -> str:
    """An address that no other attempt of the run has."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def most_hashed(free: int, seconds: float) -> int:
    """Return the maximum of attempts of a key in so many seconds, with delays of 1, 2, 4, ... seconds."""
    hashed, passed = free, 1
    while passed <= seconds + 1:
        hashed, passed = hashed + 1, passed * 2 + 1
    return hashed
