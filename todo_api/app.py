"""Composition root: builds everything, decides nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from connexion.middleware.lifespan import LifespanMiddleware

from todo_api import api_keys, changes, contract, history, services, trash
from todo_api.accounts import Account, Passwords, dump_account, one_time_tokens, recovery, sessions
from todo_api.admission import AdmissionControl
from todo_api.auth import ExternalTokenVerifier, TokenIssuer, TokenVerifier, VerifiedTokenCache, external_token_verifier
from todo_api.config import Config, ConfigurationError, cursor_secret
from todo_api.database import Database, PeriodicTask
from todo_api.http import (
    INTERNAL_ERROR,
    PROBLEM_TYPES,
    BearerHandler,
    Compression,
    ContractApp,
    Cors,
    HandlerDispatch,
    Problems,
    RequestIdMiddleware,
    Routing,
    Security,
    TagResolver,
    TokenLookup,
    Validation,
    set_public_path,
)
from todo_api.idempotency import IdempotencyStore
from todo_api.mail import Messages, Sender, TemplateError, outbox
from todo_api.observability import (
    CounterLayout,
    Exposition,
    MetricsRecorder,
    Observer,
    RequestLog,
    SharedCounters,
    label_values,
)
from todo_api.operations import Readiness
from todo_api.projects import Project, dump_project
from todo_api.provisioning import migrations, readiness
from todo_api.site import PageFactories, Pages, discovery, public, published, reading
from todo_api.task_dates import Recomputation
from todo_api.tasks import CursorSigner, Task, dump_task
from todo_api.throttling import KnownLogins, Throttling

if TYPE_CHECKING:  # an optional extra
    from todo_api.observability import Traces


class Observers(NamedTuple):
    """Observers of a worker's requests. `log` and `traces` are None if they are off."""

    counters: SharedCounters
    recorder: MetricsRecorder
    log: RequestLog | None
    traces: "Traces | None" = None

    @property
    def active(self) -> tuple[Observer, ...]:
        """Return the observers that are called for each request."""
        return tuple(each for each in (self.recorder, self.log, self.traces) if each)


def new_counters(slots: int) -> SharedCounters:
    """Return shared counters for a number of concurrent workers."""
    contracts = [contract.load(path) for path in (contract.TASK_API, contract.OPS_API)]
    kinds = [(kind.status, kind.code) for kind in (*PROBLEM_TYPES.values(), INTERNAL_ERROR)]
    return SharedCounters(CounterLayout(label_values(contracts, kinds)), slots)


def _unshared_observers() -> Observers:
    counters = new_counters(1)
    return Observers(counters, MetricsRecorder(counters, counters.acquire_slot()), None)


def create_app(
    config: Config, observers: Observers | None = None, known_logins: KnownLogins | None = None
) -> ContractApp:
    """Return the service as an ASGI application. `config` has database URL and secret."""
    observers = observers or _unshared_observers()
    database = _database(config, observers.recorder)
    external = None if config.builtin_issuer else external_token_verifier(config)
    tokens: dict[str, str] = {"secret": config.jwt_secret, "issuer": config.issuer, "audience": config.own_audience}
    own = VerifiedTokenCache(TokenVerifier(**tokens, leeway=config.jwt_leeway).verify)
    mailing = _sender(config, database) or nullcontext()
    throttling = Throttling(config, known_logins or KnownLogins())
    admission = AdmissionControl(config.max_concurrency, config.queue_limit / 1000)
    dependencies = services.Services(
        database=database,
        public_path=config.public_path,
        signer=CursorSigner(cursor_secret(config)),
        passwords=Passwords(),
        replies=IdempotencyStore(database, cursor_secret(config)),
        issuer=TokenIssuer(**tokens, lifetime=config.jwt_lifetime) if config.builtin_issuer else None,
        session_lifetime=config.session_lifetime,
        trash_days=config.trash_days,
        sends_mail=config.smtp_url is not None,
        verifies_email=config.verifies_email,
        readiness=Readiness(_checks(database, external)),
        metrics=Exposition(observers.counters).text,
        waits=changes.Waits(database, admission),
    )

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if observers.log:
            observers.log.start_redacting()
        traces, issuer = observers.traces or nullcontext(), external or nullcontext()
        async with throttling, traces, issuer, mailing, _upkeep(dependencies, database, config):
            yield
        database.close()

    bearer = BearerHandler(external.verify if external else own.verify, _key_lookups(database, admission))
    app = ContractApp(
        __name__,
        lifespan=lifespan,
        middlewares=_middlewares(config, (*observers.active, dependencies.waits), throttling, admission),
        resolver=TagResolver(),
        security_map={"bearer": lambda: bearer},
    )
    services.install_services(app.app, dependencies)
    app.admission, app.known_subject = admission, (external or own).known_subject
    app.add_contract(contract.TASK_API)
    app.add_contract(contract.OPS_API)
    return app


def _sender(config: Config, database: Database) -> Sender | None:
    """Return what sends mail, if there is a server for it. Raise ConfigurationError."""
    server = config.smtp_server
    if server is None or config.mail_from is None:
        return None
    try:
        links = {"reset": config.password_reset_url, "registered": config.password_reset_url}
        links["verify"] = config.email_verification_url
        messages = Messages(config.mail_from, links, config.mail_templates)
    except (TemplateError, ValueError) as error:
        raise ConfigurationError(f"MAIL_TEMPLATES has a template that cannot be used: {error}") from error
    return Sender(database, server, messages, partial(recovery.mail_content, database))


def _database(config: Config, recorder: MetricsRecorder) -> Database:
    """Return the database, whose connections are counted."""
    connections = config.max_concurrency + 1  # readiness does not wait for requests
    recorder.set_pool_size(connections)
    watch, prefix = recorder.add_connections_in_use, config.database_role_prefix
    url, has_trash = _database_url(config), config.trash_days > 0
    return Database(url, pool_size=connections, watch=watch, role_prefix=prefix, has_trash=has_trash)


def _database_url(config: Config) -> str:
    if not config.database_url or (config.builtin_issuer and not config.jwt_secret):
        raise ConfigurationError("create_app needs DATABASE_URL and JWT_SECRET.")
    return config.database_url


def _checks(database: Database, external: ExternalTokenVerifier | None) -> dict[str, Callable[[], None]]:
    """Return the readiness checks by name."""
    checks: dict[str, Callable[[], None]] = {
        "database": partial(readiness.check_database, database),
        "schema": partial(readiness.check_schema, database, migrations.head()),
    }
    return checks | ({"issuer_keys": external.check_ready} if external else {})


def _key_lookups(database: Database, admission: AdmissionControl) -> TokenLookup:
    """Return the look-up of API keys. Nothing is cached, so every worker refuses a revoked key."""
    find = partial(api_keys.find, database.as_key)
    return TokenLookup(api_keys.PREFIX, api_keys.digest, find, admission=admission)


def _purge(dependencies: services.Services, database: Database, config: Config) -> int:
    """Delete some expired rows, and return their number."""
    of_trash = partial(trash.purge, days=dependencies.trash_days)
    of_history = partial(history.purge, days=config.history_days)
    purges = (sessions.purge, one_time_tokens.purge, outbox.purge, changes.purge, of_trash, of_history)
    return dependencies.replies.purge() + sum(purge(database) for purge in purges)


@asynccontextmanager
async def _upkeep(dependencies: services.Services, database: Database, config: Config) -> AsyncIterator[None]:
    """Purge, compute instants anew after other zone data, and wake who waits, meanwhile."""
    step, failure = Recomputation(database).step, "no instants were computed anew"
    purging = PeriodicTask(partial(_purge, dependencies, database, config))
    waking = PeriodicTask(dependencies.waits.look, changes.EVERY, failure="nobody who waits for a change was woken")
    async with purging, PeriodicTask(step, at_once=True, failure=failure), waking:
        yield


def _pages(config: Config) -> PageFactories:
    path = config.public_path
    origin = [config.public_url.rstrip("/")] if config.public_url else []
    made = published(path) | reading.pages(*origin) | discovery.pages(config)
    return public.under(path, made)


def _serialize_current(current: Task | Account | Project) -> dict[str, Any]:
    """Return the current state of a failed conditional write as JSON values."""
    match current:
        case Account():
            return dump_account(current)
        case Project():
            return dump_project(current)
    return dump_task(current)


def _middlewares(
    config: Config, observers: tuple[Observer, ...], throttling: Throttling, admission: AdmissionControl
) -> list[Any]:
    """Return the middlewares, outermost first. Inside the first one every scope is a request's."""
    cors = partial(Cors, origins=config.cors_origins)
    set_public_path(config.public_path)
    return [
        LifespanMiddleware,
        partial(RequestIdMiddleware, observers=observers),
        Compression,
        *([cors] if config.cors_origins else []),
        partial(
            Problems,
            serialize=_serialize_current,
            to_html=partial(reading.error_page, config.public_path),
        ),
        partial(Pages, pages=_pages(config), count=throttling.count_page),
        *throttling.address_middlewares,
        Routing,
        Security,
        *throttling.user_middlewares,
        Validation,
        *throttling.operation_middlewares,
        *throttling.login_middlewares,
        partial(HandlerDispatch, admission=admission),
    ]
