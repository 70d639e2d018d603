"""Pages to read: the front page, the reference, the guide, a page for each problem, and discovery for clients.

`pages` serves them all from memory, outside of the operations of the contract.
`reading` makes the pages for people, `assets` their static files, `discovery` the documents of `/.well-known/`.
"""

from todo_api.site import assets, discovery, reading
from todo_api.site.pages import Makers, Pages, published

__all__ = ["Makers", "Pages", "assets", "discovery", "published", "reading"]
