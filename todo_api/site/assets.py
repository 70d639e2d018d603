"""Static files: scripts, styles and icons. Addresses change with content, so caches keep them."""

import hashlib
import mimetypes
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from todo_api.site.pages import FOREVER, Page, PageFactories, page

_OWN = Path(__file__).parent / "static"


def _package(name: str) -> Path:
    """Return the folder of a package without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    return Path(spec.origin).parent


_SWAGGER = _package("flask_swagger_ui") / "dist"
_SCALAR = _package("flask_openapi3_scalar") / "templates" / "scalar" / "js"
_LIBRARIES = {
    "swagger-ui.css": ("flask-swagger-ui", _SWAGGER),
    "swagger-ui-bundle.js": ("flask-swagger-ui", _SWAGGER),
    "favicon-32x32.png": ("flask-swagger-ui", _SWAGGER),
    "scalar.standalone.js": ("flask-openapi3-scalar", _SCALAR),
}
"""Files of libraries, each with its package and folder. The package's version is in the address."""


@cache
def addresses() -> dict[str, str]:
    """Return the address of every file by its name."""
    own = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in _OWN.iterdir()}
    versions = {name: version(package) for name, (package, _) in _LIBRARIES.items()} | own
    return {name: f"/static/{found}/{name}" for name, found in versions.items()}


def pages() -> PageFactories:
    """Return the page factory of every file by its address."""
    return {address: partial(_file, name) for name, address in addresses().items()}


def _file(name: str) -> Page:
    folder = _LIBRARIES[name][1] if name in _LIBRARIES else _OWN
    path = folder / name
    media_type = mimetypes.types_map[path.suffix]
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    return page(path.read_bytes(), media_type + charset, cache_control=FOREVER)
