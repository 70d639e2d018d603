"""Cross-origin requests (the Fetch standard), as Starlette answers them, but for what is refused."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


class Cors(CORSMiddleware):
    """A preflight that is refused gets 204 and no permission, for the browser to judge. Starlette's 400 would be plain text, and every
    4xx of this service is a problem document."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """What the browser asks before it sends the request itself."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:  # noqa: PLR2004  # OK
            return response
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=headers)
