"""Messages: plain text and HTML, from templates that a deployment may replace.

A template gets the token and the link to the page that takes it, and no word of a user's choice.
"""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from pathlib import Path
from typing import NamedTuple

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape

__all__ = ["MailContent", "Messages", "TemplateError"]

SAMPLE = "tdo_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
"""A token of the right form, to render every template at the start."""

_FOLDER = Path(__file__).with_name("templates")


class MailContent(NamedTuple):
    """The content of a mail: the name of its template, and the token."""

    template: str
    token: str


class Messages:
    """Render the mails of a deployment."""

    def __init__(self, sender: str, links: dict[str, str | None], folder: Path | None = None) -> None:
        """Load the templates: those of `folder` replace ours. Raise TemplateError.

        `links` has the URL with `{token}` of each template.
        """
        folders = [folder, _FOLDER] if folder is not None else [_FOLDER]
        loader = ChoiceLoader([FileSystemLoader(one) for one in folders])
        self._templates = Environment(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=select_autoescape(["html"]),
        )
        self._sender = sender
        self._links = links
        for template in links:
            self.message("ada@example.com", MailContent(template, SAMPLE))

    def message(self, email: str, content: MailContent) -> EmailMessage:
        """Return a mail. Its subject is the first line of the text template.

        Raise ValueError if `email` is no address.
        """
        template, token = content
        link = self._links[template]
        values = {"token": token, "link": None if link is None else link.replace("{token}", token)}
        subject, _, text = self._templates.get_template(f"{template}.txt").render(values).partition("\n")
        message = EmailMessage(SMTP)
        message["Subject"] = " ".join(subject.split())
        message["From"] = self._sender
        message["To"] = Address(addr_spec=email)
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
        message["Auto-Submitted"] = "auto-generated"  # so that no program answers, such as a holiday notice (RFC 3834)
        message.set_content(text.lstrip("\n"))
        html = self._templates.get_template(f"{template}.html").render(values)
        message.add_alternative(html, subtype="html")
        return message
