"""Pages to read: the front page, the reference, a page for each problem, and discovery for clients.

`pages` serves them all from memory, outside of the operations of the contract.
`reference` makes the pages of the contract, `discovery` the documents of `/.well-known/`.
"""

from todo_api.site import discovery, reference
from todo_api.site.pages import Makers, Pages, published

__all__ = ["Makers", "Pages", "discovery", "published", "reference"]
