"""FastAPI + SQLModel + psycopg 3, asynchronous, for uvicorn with uvloop and httptools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import APIRouter, FastAPI, HTTPException, Response
from sqlalchemy import Update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_tasks import (
    ENGINE,
    PATH,
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

engine = create_async_engine(database_url("psycopg"), **ENGINE)
sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False, autoflush=False)
router = APIRouter(prefix=PREFIX)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


@router.get("")
async def list_tasks(owner: Owner, wanted: ListQuery) -> Page:
    async with sessions() as session:
        rows = (await session.exec(page_statement(owner, wanted))).all()
    return page_of(rows, wanted)


@router.post("", status_code=201, response_model=TaskOut)
async def create_task(owner: Owner, body: TaskIn, response: Response) -> Task:
    task = new_task(owner, body)
    async with sessions() as session:
        session.add(task)
        await session.commit()
    response.headers["ETag"] = etag(task)
    response.headers["Location"] = f"{PATH}/{task.id}"
    return task


@router.get("/{task_id}", response_model=TaskOut)
async def get_task(
    owner: Owner, task_id: UUID, response: Response, if_none_match: IfNoneMatch = None
) -> Task | Response:
    async with sessions() as session:
        task = (await session.exec(get_statement(owner, task_id))).one_or_none()
    if task is None:
        raise HTTPException(404, "There is no such task.")
    if if_none_match == etag(task):
        return Response(status_code=304, headers={"ETag": etag(task)})
    response.headers["ETag"] = etag(task)
    return task


@router.patch("/{task_id}", response_model=TaskOut)
async def update_task(
    owner: Owner, task_id: UUID, body: TaskPatch, response: Response, if_match: IfMatch = None
) -> Task:
    changes = body.model_dump(exclude_unset=True)
    return await _written(owner, task_id, change_statement(owner, task_id, changes, if_match), if_match, response)


@router.patch("/{task_id}/complete", response_model=TaskOut)
async def complete_task(
    owner: Owner, task_id: UUID, response: Response, body: Completion | None = None, if_match: IfMatch = None
) -> Task:
    completed = None if body is None else body.completed
    return await _written(owner, task_id, complete_statement(owner, task_id, completed, if_match), if_match, response)


async def _written(owner: str, task_id: UUID, statement: Update, if_match: str | None, response: Response) -> Task:
    async with sessions() as session:
        task = (await session.exec(statement)).scalar_one_or_none()
        if task is None:
            raise refusal((await session.exec(get_statement(owner, task_id))).one_or_none(), if_match)
        await session.commit()
    response.headers["ETag"] = etag(task)
    return task


app = FastAPI(lifespan=lifespan)
app.include_router(router)
