"""The front page: its quick start names the address at which the page was asked for."""

import re
from html import unescape

import pytest

from tests.support.client import Client


def quick_start(anonymous: Client, *hosts: str) -> str:
    """The API's address in the quick start, as a shell reads it."""
    reply = anonymous.get("/", headers=[("host", host) for host in hosts])
    assert reply.status == 200
    assert reply.headers["content-length"] == str(len(reply.body))
    assert [name for name, _ in reply.header_list if name == "cache-control"] == ["cache-control"]
    found = re.search("<pre><code>api=(.*?); json=", reply.body.decode())
    assert found
    return unescape(found[1])


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "tasks.example.com", "[::1]:8000", "localhost"])
def test_front_page_names_the_address_at_which_it_was_asked_for(anonymous: Client, host: str) -> None:
    assert quick_start(anonymous, host) == f"http://{host}/api/v1"


@pytest.mark.parametrize("host", ["a;id", "$(id)", "a b", "a`id`", "<b>", "a/b", "a:80:80", "a\tb", "", "a@b", "x'"])
def test_front_page_asked_for_at_what_is_no_host_names_the_local_address(anonymous: Client, host: str) -> None:
    assert quick_start(anonymous, host) == "http://localhost:8000/api/v1"


def test_front_page_of_two_addresses_has_two_tags_and_each_is_revalidated(anonymous: Client) -> None:
    tags = [anonymous.get("/", headers={"host": host}).headers["etag"] for host in ("one.example", "two.example")]
    assert tags[0] != tags[1]
    again = {"host": "one.example", "if-none-match": tags[0]}
    assert anonymous.get("/", headers=again).status == 304
    assert anonymous.get("/", headers=again | {"host": "two.example"}).status == 200
