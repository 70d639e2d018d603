"""Mail: requests queue it in a table, and a background task of each worker sends it.

`outbox` is the table: who is to get a mail, and for what. `sender` takes one after another.
`messages` renders the templates; `smtp` hands a message to the server of `SMTP_URL`.
A mail is sent at least once: after a crash between sending and deleting its row, it is sent again.
"""

from todo_api.mail import outbox
from todo_api.mail.messages import MailContent, Messages, TemplateError
from todo_api.mail.sender import Sender

__all__ = ["MailContent", "Messages", "Sender", "TemplateError", "outbox"]
