"""The same getTask as Connexion's tutorials write it: its own middlewares, a2wsgi, SQLAlchemy's ORM in a transaction, marshmallow's dump.

What the pipeline of this service replaces; `layers.py` compares. Run by gunicorn's ASGI worker with one process.
"""

import os
from typing import Any

import jwt
from connexion import FlaskApp, options
from connexion.exceptions import OAuthProblem
from marshmallow import Schema, fields
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Session

from todo_api import contract, models
from todo_api.database.connection import engine_url

ENGINE = create_engine(engine_url(os.environ["DATABASE_URL"]), pool_size=10, pool_pre_ping=True)


class TaskSchema(Schema):
    """A task, with the members of 1.0."""

    id = fields.String()
    user_id = fields.String()
    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()
    completed = fields.Boolean()
    completed_at = fields.AwareDateTime(allow_none=True)
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


SCHEMA = TaskSchema()


class Base(DeclarativeBase):
    """The service's own tables, mapped."""

    metadata = models.metadata


class Task(Base):
    """A task."""

    __table__ = models.tasks

    @property
    def completed(self) -> bool:
        """Whether the status is `completed`."""
        return bool(self.status == "completed")


def verify(token: str) -> dict[str, Any]:
    """The claims of a token, as `x-bearerInfoFunc` gives them."""
    try:
        return jwt.decode(
            token,
            os.environ["JWT_SECRET"],
            ["HS256"],
            audience="task-api",
            issuer="task-api",
            options={"require": ["exp", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise OAuthProblem from error


def get_task(user_id: str, task_id: str, user: str) -> Any:
    """200 with the task."""
    with Session(ENGINE) as session:
        session.execute(
            select(func.set_config("role", models.USER_ROLE, True), func.set_config("app.user_id", user, True))
        )
        task = session.scalars(select(Task).where(Task.user_id == user, Task.id == task_id)).one()
        return SCHEMA.dump(task), 200, {"ETag": f'"{task.version}"', "Content-Type": "application/json"}


def _contract() -> dict[str, Any]:
    document = contract.load(contract.TASK_API)
    path = "/{user_id}/tasks/{task_id}"
    item = document["paths"][path]
    item["get"]["operationId"] = "plain_connexion.get_task"
    document["paths"] = {path: {"parameters": item["parameters"], "get": item["get"]}}
    document["components"]["securitySchemes"]["bearer"]["x-bearerInfoFunc"] = "plain_connexion.verify"
    return document


app = FlaskApp(__name__, swagger_ui_options=options.SwaggerUIOptions(swagger_ui=False))
app.add_api(_contract(), strict_validation=True)
