"""Settings that cannot work: each is refused at the start in one line that names the way out, or works."""

from dataclasses import fields
from pathlib import Path

import pytest

from tests.support.credentials import SECRET
from tests.support.live import refusal, run
from todo_api.config import Config, ConfigurationError, load_config, shown_settings, unknown_settings

NO_FILE = Path("there-is-no-such-file")
ISSUER = {"JWT_ISSUER": "https://auth.example.com", "JWT_AUDIENCE": "x"}

AS_SENT = [
    *("http://localhost:3000", "https://app.example.com", "https://app.example.com:8443", "http://127.0.0.1:5173"),
    *("http://[::1]:3000", "https://xn--bcher-kva.example", "https://a_b.example", "http://example.com:443"),
    *("capacitor://localhost", "tauri://localhost", "chrome-extension://abcdefghijklmnop", "http://[::ffff:7f00:1]"),
]
MEANT = {
    "http://localhost:3000/": "http://localhost:3000",
    "localhost:3000": "http://localhost:3000",
    "127.0.0.1:5173/": "http://127.0.0.1:5173",
    "[::1]:3000": "http://[::1]:3000",
    "app.example.com": "https://app.example.com",
    "HTTPS://app.example.com": "https://app.example.com",
    "https://App.Example.COM": "https://app.example.com",
    "https://app.example.com:443": "https://app.example.com",
    "https://app.example.com:": "https://app.example.com",
    "https://app.example.com:08443": "https://app.example.com:8443",
    "http://app.example.com:80/": "http://app.example.com",
    "https://app.example.com/login?next=/#top": "https://app.example.com",
    "https://app.example.com?x": "https://app.example.com",
    "https://ada:Zk8vQ2@app.example.com": "https://app.example.com",
    "https://b\u00fccher.example": "https://xn--bcher-kva.example",
    "https://stra\u00dfe.example:8443/": "https://xn--strae-oqa.example:8443",
    "http://[0:0:0::1]:3000": "http://[::1]:3000",
    "http://[2001:DB8::1]": "http://[2001:db8::1]",
    "http://[::ffff:127.0.0.1]": "http://[::ffff:7f00:1]",
    "Capacitor://localhost": "capacitor://localhost",
}
NO_ORIGIN = [
    *("https://", "//app.example.com", "https:app.example.com", "https:/app.example.com", "https://a b", "file://"),
    *("https://a.example https://b.example", "https://a..b", "https://a%41", "http://127.1", "https://a:99999"),
    *("https://a:x", "http://[::1", "https://a\u2028b", "mailto:ada@example.com/", "http://[::g]", "http://[1:2]"),
    "https://b\u00fccher..example",  # two dots in an international name
]


@pytest.mark.parametrize("origin", AS_SENT)
def test_load_config_of_origin_as_browsers_send_it_takes_it(origin: str) -> None:
    assert load_config({"CORS_ORIGINS": origin}, NO_FILE).cors_origins == (origin,)


@pytest.mark.parametrize(("text", "right"), MEANT.items())
def test_load_config_of_origin_that_no_browser_sends_names_the_right_one(text: str, right: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config({"CORS_ORIGINS": f"https://good.example,{text}"}, NO_FILE)
    line = str(refused.value)
    assert line == f"CORS_ORIGINS must be origins as browsers send them, byte by byte: write {right}"
    assert load_config({"CORS_ORIGINS": right}, NO_FILE).cors_origins == (right,)


@pytest.mark.parametrize("text", NO_ORIGIN)
def test_load_config_of_what_means_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^CORS_ORIGINS must be origins as browsers send them, such as"):
        load_config({"CORS_ORIGINS": text}, NO_FILE)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "192.0.2.1", "::", "::1", "fe80::1%lo", "localhost", "my-host.example.", "a_b", "x1"]
)
def test_load_config_of_address_to_listen_on_takes_it(host: str) -> None:
    assert load_config({"HOST": host}, NO_FILE).host == host


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_command_with_host_of_conda_names_the_cause(tmp_path: Path, command: str) -> None:
    line = refusal(command, cwd=tmp_path, HOST="x86_64-conda-linux-gnu")
    assert line == (
        "HOST is x86_64-conda-linux-gnu, which conda sets for its compilers: it is no address. "
        "Unset HOST, or give 127.0.0.1."
    )


NAMES = ["DATABASE_URL", "HOST", "PORT", "JWT_SECRET", "JWT_ISSUER", "CORS_ORIGINS", "LOG_LEVEL", "MCP_TOKEN"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("form", "flaw"),
    [
        ("{} ", "blanks or a line break"),
        ("{}\n", "blanks or a line break"),
        ("\t{}", "blanks or a line break"),
        ("   ", "blanks or a line break"),
        ('"{}"', "quotes"),
        ("'{}'", "quotes"),
    ],
)
def test_load_config_of_value_with_more_around_it_is_refused_without_telling_it(
    name: str, form: str, flaw: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config({name: form.format("Zk8vQ2xW7pLm")}, NO_FILE)
    assert str(refused.value).startswith(f"{name} has {flaw}")
    assert "Zk8" not in str(refused.value)


@pytest.mark.parametrize("name", ["DATA_DIR", "JWT_SECRET", "JWT_AUDIENCE", "MCP_TOKEN"])
def test_load_config_of_value_with_line_break_is_refused_without_telling_it(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config({name: "Zk8vQ2xW7pLm4nRtZk8\nvQ2xW7pLm4nRt"}, NO_FILE)
    assert str(refused.value) == f"{name} has a control character in its value: remove it."


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        (ISSUER | {"JWT_SECRET": SECRET, "JWT_LIFETIME": "60"}, "JWT_LIFETIME is for the service's own tokens"),
        (ISSUER | {"JWT_SECRET": SECRET, "SESSION_LIFETIME": "60"}, "SESSION_LIFETIME is for the service's own tokens"),
        ({"JWT_KEYS_TTL": "60"}, "JWT_KEYS_TTL is for an external issuer: set JWT_ISSUER"),
        ({"JWT_KEYS_MAX_STALE": "60"}, "JWT_KEYS_MAX_STALE is for an external issuer: set JWT_ISSUER"),
        (ISSUER | {"JWT_ISSUER": "https://a.example/?b", "JWT_DISCOVERY": "true"}, "JWT_ISSUER must have no ?"),
        (ISSUER | {"JWT_ISSUER": "https://a.example/#b", "JWT_DISCOVERY": "true"}, "JWT_ISSUER must have no ?"),
        ({"SECURITY_CONTACT": "mailto:a@example.com"}, "SECURITY_CONTACT and SECURITY_EXPIRES go together"),
        ({"SECURITY_EXPIRES": "2027-01-31T00:00:00Z"}, "SECURITY_CONTACT and SECURITY_EXPIRES go together"),
    ],
)
def test_load_config_of_two_settings_that_do_not_go_together_is_refused(settings: dict[str, str], start: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config(settings, NO_FILE)
    assert str(refused.value).startswith(start)
    assert "\n" not in str(refused.value)


FOR_OWN_TOKENS = {"jwt_issuer", "jwt_secret", "jwt_audience", "jwt_leeway", "jwt_lifetime"}
OF_ISSUERS = {
    field.name.upper(): {False: "true", (): "x"}.get(field.default, "60")
    for field in fields(Config)
    if field.name.startswith("jwt_") and field.name not in FOR_OWN_TOKENS
}
"""Settings of which each is for an external issuer alone, with a value that is not the default."""


@pytest.mark.parametrize("name", OF_ISSUERS)
def test_load_config_of_a_setting_of_external_issuers_without_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config({name: OF_ISSUERS[name]}, NO_FILE)
    assert str(refused.value) == f"{name} is for an external issuer: set JWT_ISSUER, the exact iss of its tokens."


@pytest.mark.parametrize("keys", [{"JWT_DISCOVERY": "true"}, {"JWT_JWKS_URL": "https://a.example/keys"}])
def test_load_config_of_authorities_for_keys_that_are_fetched_takes_them(keys: dict[str, str]) -> None:
    config = load_config(ISSUER | {"JWT_ISSUER": "https://a.example", "JWT_CA_FILE": "ca.pem", **keys}, NO_FILE)
    assert config.jwt_ca_file == Path("ca.pem")


@pytest.mark.parametrize("url", ["http://localhost:4318/", "https://a.example/otlp/", "http://[::1]:4318"])
@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "MCP_URL"])
def test_load_config_of_url_with_slash_at_its_end_takes_it(name: str, url: str) -> None:
    assert getattr(load_config({name: url}, NO_FILE), name.lower()) == url


@pytest.mark.parametrize("expires", ["2997-01-31T00:00:00Z", "2997-01-31T00:00:00+01:00", "2997-01-31t00:00:00.5z"])
def test_load_config_of_any_spelling_of_an_end_takes_it(expires: str) -> None:
    settings = {"SECURITY_CONTACT": "mailto:a@example.com", "SECURITY_EXPIRES": expires}
    assert load_config(settings, NO_FILE).security_expires == expires


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("PORT=1\nexport HOST=a\n# PROT=1\n", []),
        ("PROT=1\n", ["PROT is no setting of this service; did you mean PORT?"]),
        ("port=1\n", ["port is no setting of this service; did you mean PORT?"]),
        ("JWT_SECERT=x\n", ["JWT_SECERT is no setting of this service; did you mean JWT_SECRET?"]),
        ("CORS_ORIGIN=x\n", ["CORS_ORIGIN is no setting of this service; did you mean CORS_ORIGINS?"]),
        ("DATABASE_URI=x\n", ["DATABASE_URI is no setting of this service; did you mean DATABASE_URL?"]),
        ("JWT-ISSUER=x\n", ["JWT-ISSUER is no setting of this service; did you mean JWT_ISSUER?"]),
        ("QQQQ=x\n", ["QQQQ is no setting of this service."]),
        (
            "THREAD=1\nPROT=1\n",
            [
                "PROT is no setting of this service; did you mean PORT?",
                "THREAD is no setting of this service; did you mean THREADS?",
            ],
        ),
    ],
)
def test_unknown_settings_of_file_names_the_nearest_known_ones(tmp_path: Path, text: str, lines: list[str]) -> None:
    file = tmp_path / ".env"
    file.write_text(text, encoding="utf-8")
    assert unknown_settings(file) == [f"{file}: {line}" for line in lines]


def test_load_config_of_file_with_byte_order_mark_reads_its_first_name(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=81\n", encoding="utf-8-sig")
    assert (load_config({}, file).port, unknown_settings(file)) == (81, [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("PORT 81\n", 1),
        ("# ours\n\nPORT: 81\n", 3),
        ("PORT=81\nset HOST=::1\n", 2),
        ('PORT=81\nJWT_SECRET="abc"def\n', 2),
        ("=81", 1),
        ("PORT\n", 1),
        ("PORT=81\nexport JWT_SECRET\n", 2),
    ],
)
def test_load_config_of_file_with_a_line_that_sets_nothing_is_refused_without_telling_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, line: int
) -> None:
    file = tmp_path / ".env"
    file.write_text(text, encoding="utf-8")
    for read in (lambda: load_config({}, file), lambda: unknown_settings(file), lambda: shown_settings(file)):
        with pytest.raises(ConfigurationError) as refusal:
            read()
        assert str(refusal.value) == f"{file}, line {line}, is no NAME=value: mend or remove it."
    assert caplog.records == []


def test_token_with_unknown_name_in_file_warns_and_works(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"JWT_SECRET={SECRET}\nJWT_LIFETIM=60\n", encoding="utf-8")
    done = run("token", "ada", cwd=tmp_path, JWT_LIFETIM="60")
    assert (done.returncode, len(done.stdout.split("."))) == (0, 3)
    assert done.stderr == "todo-api: .env: JWT_LIFETIM is no setting of this service; did you mean JWT_LIFETIME?\n"


def test_serve_that_is_refused_names_the_misspelt_setting_first(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_AUDIENC=x\n", encoding="utf-8")
    settings = {"JWT_ISSUER": "https://a.example", "JWT_DISCOVERY": "true"}
    done = run("serve", cwd=tmp_path, **settings)
    first, second = done.stderr.splitlines()
    assert first == "todo-api: .env: JWT_AUDIENC is no setting of this service; did you mean JWT_AUDIENCE?"
    assert second.startswith("todo-api: JWT_AUDIENCE is missing")
