"""FastAPI + SQLModel + psycopg2: `def` endpoints, which FastAPI runs in its threads. For uvicorn with uvloop and httptools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Response
from sqlalchemy import Update
from sqlalchemy.orm import sessionmaker
from sqlmodel import Session, create_engine

from fastapi_tasks import (
    ENGINE,
    PATH,
    POOL_SIZE,
    PREFIX,
    Completion,
    IfMatch,
    IfNoneMatch,
    ListQuery,
    Owner,
    Page,
    Task,
    TaskIn,
    TaskOut,
    TaskPatch,
    change_statement,
    complete_statement,
    database_url,
    etag,
    get_statement,
    new_task,
    page_of,
    page_statement,
    refusal,
)

engine = create_engine(database_url("psycopg2"), **ENGINE)
sessions = sessionmaker(engine, class_=Session, expire_on_commit=False, autoflush=False)
router = APIRouter(prefix=PREFIX)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = POOL_SIZE  # more would only wait for a connection
    yield
    engine.dispose()


@router.get("")
def list_tasks(owner: Owner, wanted: ListQuery) -> Page:
    with sessions() as session:
        rows = (session.exec(page_statement(owner, wanted))).all()
    return page_of(rows, wanted)


@router.post("", status_code=201, response_model=TaskOut)
def create_task(owner: Owner, body: TaskIn, response: Response) -> Task:
    task = new_task(owner, body)
    with sessions() as session:
        session.add(task)
        session.commit()
    response.headers["ETag"] = etag(task)
    response.headers["Location"] = f"{PATH}/{task.id}"
    return task


@router.get("/{task_id}", response_model=TaskOut)
def get_task(owner: Owner, task_id: UUID, response: Response, if_none_match: IfNoneMatch = None) -> Task | Response:
    with sessions() as session:
        task = (session.exec(get_statement(owner, task_id))).one_or_none()
    if task is None:
        raise HTTPException(404, "There is no such task.")
    if if_none_match == etag(task):
        return Response(status_code=304, headers={"ETag": etag(task)})
    response.headers["ETag"] = etag(task)
    return task


@router.patch("/{task_id}", response_model=TaskOut)
def update_task(owner: Owner, task_id: UUID, body: TaskPatch, response: Response, if_match: IfMatch = None) -> Task:
    changes = body.model_dump(exclude_unset=True)
    return _written(owner, task_id, change_statement(owner, task_id, changes, if_match), if_match, response)


@router.patch("/{task_id}/complete", response_model=TaskOut)
def complete_task(
    owner: Owner, task_id: UUID, response: Response, body: Completion | None = None, if_match: IfMatch = None
) -> Task:
    completed = None if body is None else body.completed
    return _written(owner, task_id, complete_statement(owner, task_id, completed, if_match), if_match, response)


def _written(owner: str, task_id: UUID, statement: Update, if_match: str | None, response: Response) -> Task:
    with sessions() as session:
        task = (session.exec(statement)).scalar_one_or_none()
        if task is None:
            raise refusal((session.exec(get_statement(owner, task_id))).one_or_none(), if_match)
        session.commit()
    response.headers["ETag"] = etag(task)
    return task


app = FastAPI(lifespan=lifespan)
app.include_router(router)
