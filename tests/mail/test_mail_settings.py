"""The settings of mail: what they mean, and what is refused at the start, in one line that names the setting."""

from pathlib import Path

import pytest

from todo_api.app import create_app
from todo_api.config import Config, ConfigurationError, load_config
from todo_api.config.mail import SmtpServer, smtp_server

NO_FILE = Path("/nowhere/.env")
FROM = "Tasks <no-reply@example.com>"
SERVER = {"SMTP_URL": "smtp://mail.example.com", "MAIL_FROM": FROM}
VERIFIED = SERVER | {"EMAIL_VERIFICATION": "required"}
PAGE = "https://app.example.com/reset#{token}"
EXTERNAL = {"JWT_ISSUER": "https://a.example", "JWT_AUDIENCE": "tasks", "JWT_JWKS_URL": "https://a.example/keys"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 587, "starttls", None, None)),
        ("smtps://u:p%40ss@mail.example.com", SmtpServer("mail.example.com", 465, "implicit", "u", "p@ss")),
        ("smtp://localhost:1025?tls=off", SmtpServer("localhost", 1025, "off", None, None)),
        ("smtp://[::1]:25/", SmtpServer("::1", 25, "starttls", None, None)),
        ("smtps://mail.example.com?tls=off", None),
        ("smtp://mail.example.com?tls=on", None),
        ("smtp://mail.example.com/path", None),
        ("smtp://user@mail.example.com", None),
        ("smtp://mail.example.com:port", None),
        ("smtp://mail.example.com:0", None),
        ("http://mail.example.com", None),
        ("mail.example.com", None),
        ("smtp://", None),
    ],
)
def test_smtp_url_means_a_server_or_nothing(text: str, meant: SmtpServer | None) -> None:
    assert smtp_server(text) == meant


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({"SMTP_URL": "mail.example.com", "MAIL_FROM": FROM}, "SMTP_URL must be a URL"),
        (
            {"SMTP_URL": "smtp://u:p@10.0.0.1?tls=off", "MAIL_FROM": FROM},
            "SMTP_URL must not send a password without TLS",
        ),
        ({"SMTP_URL": "smtp://mail.example.com"}, "MAIL_FROM must be an address"),
        (SERVER | {"MAIL_FROM": "nobody"}, "MAIL_FROM must be an address"),
        (SERVER | {"MAIL_FROM": "a@example.com, b@example.com"}, "MAIL_FROM must be an address"),
        (SERVER | {"MAIL_FROM": "A <a@example.com>\nBcc: b@example.com"}, "MAIL_FROM must be an address"),
        (SERVER | {"MAIL_TEMPLATES": "/nowhere"}, "MAIL_TEMPLATES must be a folder"),
        ({"MAIL_FROM": FROM}, "MAIL_FROM is for mail"),
        ({"MAIL_TEMPLATES": "/"}, "MAIL_TEMPLATES is for mail"),
        ({"SMTP_CA_FILE": "/ca.pem"}, "SMTP_CA_FILE is for mail"),
        ({"PASSWORD_RESET_URL": "https://app.example.com/reset"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"PASSWORD_RESET_URL": "https://{token}.example.com/"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"PASSWORD_RESET_URL": "javascript:{token}"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"PASSWORD_RESET_URL": "https://[::1/{token}"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"PASSWORD_RESET_URL": "ftp://app.example.com/{token}"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"PASSWORD_RESET_URL": "https://a.example/{token}#{token}"}, "PASSWORD_RESET_URL must be a URL with {token}"),
        ({"EMAIL_VERIFICATION": "required"}, "EMAIL_VERIFICATION needs a mail server: set SMTP_URL."),
        (SERVER | {"EMAIL_VERIFICATION": "on"}, "EMAIL_VERIFICATION must be off or required."),
        (SERVER | {"EMAIL_VERIFICATION": "Required"}, "EMAIL_VERIFICATION must be off or required."),
        (EXTERNAL | {"EMAIL_VERIFICATION": "required"}, "EMAIL_VERIFICATION is for the service's own accounts"),
        (SERVER | {"EMAIL_VERIFICATION_URL": PAGE}, "EMAIL_VERIFICATION_URL is for EMAIL_VERIFICATION=required"),
        (
            VERIFIED | {"EMAIL_VERIFICATION_URL": "https://app.example.com/verify"},
            "EMAIL_VERIFICATION_URL must be a URL with {token}",
        ),
        (SERVER | EXTERNAL, "SMTP_URL is for the service's own accounts"),
        (EXTERNAL | {"PASSWORD_RESET_URL": PAGE}, "PASSWORD_RESET_URL is for the service's own accounts"),
    ],
)
def test_load_config_of_mail_that_cannot_be_sent_is_refused(settings: dict[str, str], start: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config(settings, NO_FILE)
    assert str(refused.value).startswith(start)


def test_load_config_of_mail_takes_what_the_documentation_shows() -> None:
    config = load_config(VERIFIED | {"PASSWORD_RESET_URL": PAGE, "EMAIL_VERIFICATION_URL": PAGE}, NO_FILE)
    assert (config.smtp_url, config.mail_from, config.password_reset_url) == (*SERVER.values(), PAGE)
    assert (config.verifies_email, config.email_verification_url) == (True, PAGE)
    assert not load_config(SERVER, NO_FILE).verifies_email


@pytest.mark.parametrize("name", ["reset.html", "verify.txt", "registered.html"])
@pytest.mark.parametrize("text", ["{{ nothing }}", "{% if %}", "{{ token "])
def test_create_app_with_a_template_that_cannot_be_used_is_refused(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    config = Config(
        database_url="postgresql://user:word@127.0.0.1:1/tasks",
        jwt_secret="a-secret-of-the-tests-Zk8vQ2xW7pLm4nRt",
        smtp_url="smtp://127.0.0.1:1?tls=off",
        mail_from=FROM,
        mail_templates=tmp_path,
    )
    with pytest.raises(ConfigurationError, match="MAIL_TEMPLATES has a template"):
        create_app(config)
