"""Pages: front page, reference, guide, a page per problem, and discovery for clients.

`pages` serves them from memory, outside the operations of the contract. `reading` makes the pages
for people, `guide` those of Markdown, `assets` their static files, `discovery` the documents of
`/.well-known/`. `public` puts the path of the public URL before their links.
"""

from todo_api.site import assets, discovery, guide, public, reading
from todo_api.site.pages import PageFactories, Pages, published

__all__ = ["PageFactories", "Pages", "assets", "discovery", "guide", "public", "published", "reading"]
