"""What has the form of an API key, and what was never one: told apart without the database."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

import pytest

from todo_api.api_keys.secret import digest, make
from todo_api.errors import Unauthorized


def with_checksum(secret: str) -> str:
    """A secret, of whatever form, and the checksum that a key has of it."""
    return secret + urlsafe_b64encode(crc32(secret.encode()).to_bytes(4, "big")).decode().rstrip("=")


def test_key_changed_in_any_character_or_cut_is_refused() -> None:
    key = make()
    assert digest(key) == sha256(key.encode()).hexdigest()
    changed = [f"{key[:place]}{'A' if key[place] != 'A' else 'B'}{key[place + 1 :]}" for place in range(len(key))]
    cut = [key[:length] for length in range(len(key))]
    for wrong in (*changed, *cut, f"{key}A", f"{key}\n", f" {key}", key.upper()):
        with pytest.raises(Unauthorized) as refused:
            digest(wrong)
        assert (refused.value.cause, key[10:20] in str(refused.value)) == ("key_malformed", False)


@pytest.mark.parametrize(
    "secret", ["tdk_" + "A" * 42, "tdk_" + "A" * 44, "tdr_" + "A" * 43, "tdk_" + "+" * 43, "tdk_" + "A" * 42 + "=", ""]
)
def test_key_of_another_form_with_the_right_checksum_is_refused(secret: str) -> None:
    assert digest(with_checksum(make()[:47]))  # that of a right one
    with pytest.raises(Unauthorized) as refused:
        digest(with_checksum(secret))
    assert refused.value.cause == "key_malformed"
