"""The image of `deploy/Dockerfile`, built once beside tests that need none, and a database that its containers reach."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import Images, being_made
from tests.support.podman import Engine
from tests.support.tcp import over_tcp
from todo_api.embedded import EmbeddedServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests last that need an image."""
    items.sort(key=needs_image)


def needs_image(item: pytest.Item) -> bool:
    """Return whether the test needs an image."""
    return "engine" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def image_folder() -> Iterator[Path]:
    """Not pytest's, whose modes other runs of pytest reset."""
    above = Path(tempfile.mkdtemp(prefix="test-image-"))
    yield above
    shutil.rmtree(above, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def images(request: pytest.FixtureRequest, image_folder: Path) -> Iterator[Images | None]:
    """What is made beside the tests, if one of them needs it."""
    if not any(needs_image(item) for item in request.session.items):
        yield None
        return
    with being_made(image_folder) as found:
        yield found


@pytest.fixture(scope="session")
def engine(images: Images) -> Engine:
    """Podman with the image `todo-api`."""
    return images.engine.result()


@pytest.fixture(scope="session")
def image_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL, over TCP, of an empty database."""
    with over_tcp(server.url, "image", "127.0.0.1") as url:
        yield url
