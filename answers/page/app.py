"""Answers the requests of the page, below /answers of Airflow's API server. It has no route that changes or runs anything.

Airflow gives a mounted app no authentication (apache/airflow #72655), so every route of data hangs on `router`, which has it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, bearer_scheme, get_user
from airflow.configuration import conf
from airflow.models import DagModel
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from answers.page.data import Site, question_of_file
from answers.page.evidence import dags_of, evidence
from answers.proof.catalog import CatalogError

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from starlette.middleware.base import RequestResponseEndpoint

log = logging.getLogger(__name__)
FOLDER = Path(__file__).parent / "static"
FILES = {
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
SEEN = (DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)


def build(site: Site | None = None) -> FastAPI:
    """Make the app.

    :param site: what it shows; this project when None.
    """
    app = FastAPI(title="Answers", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.site = site or Site()
    app.include_router(router)
    app.add_api_route("/", shell, methods=["GET"], response_model=None)
    app.add_api_route("/static/{name}", static, methods=["GET"], response_model=None)
    app.middleware("http")(_with_headers)
    app.add_exception_handler(CatalogError, _wrong_catalogue)
    app.add_exception_handler(SQLAlchemyError, _no_database)
    return app


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


async def _wrong_catalogue(request: Request, error: Exception) -> Response:
    """Show the file and the field: whoever edits a question sees the mistake where the question would be."""
    return JSONResponse({"detail": f"A question cannot be shown. {error}"}, 500)


async def _no_database(request: Request, error: Exception) -> Response:
    log.error("The page cannot read the metadata database", exc_info=error)
    return JSONResponse({"detail": "The metadata database does not answer. The API server's log says why."}, 503)


async def shell(request: Request, bearer: Annotated[Any, Depends(bearer_scheme)]) -> Response:
    """Give the page to who is signed in; send all others to the sign-in."""
    try:
        await get_user(request, None, bearer)
    except HTTPException:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(get_auth_manager().get_url_login(next_url=here), 303)
    return HTMLResponse(index())


@cache
def index() -> str:
    """Return the page, with the hashes of its files in their addresses: a changed file is a new one for every cache."""
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    for name in FILES:
        digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:16]
        text = text.replace(f'static/{name}"', f'static/{name}?v={digest}"')
    return text


async def static(name: str) -> Response:
    """Give a file of the page. The list is fixed: no path from outside is opened."""
    if name not in FILES:
        return PlainTextResponse("There is no such file.", 404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response((FOLDER / name).read_bytes(), media_type=FILES[name], headers=headers)


router = APIRouter(prefix="/api", dependencies=[Depends(get_user)])


def _reply(request: Request, document: Any) -> Response:
    """Answer with a document; with 304 where the reader has it already."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _document(request: Request, name: str) -> Response:
    site: Site = request.app.state.site
    documents = site.documents()
    if name not in documents:
        raise HTTPException(404, f"There is no {name}.")
    return _reply(request, documents[name])


@router.get("/questions", response_model=None)
def questions(request: Request) -> Response:
    """Give all questions, with the states of their claims as numbers."""
    return _document(request, "questions")


@router.get("/questions/{question_id}", response_model=None)
def question(request: Request, question_id: str) -> Response:
    """Give a question: answer, claims, walk."""
    return _document(request, f"questions/{question_id}")


@router.get("/plots/{name}", response_model=None)
def plot(request: Request, name: str) -> Response:
    """Give the numbers of a plot."""
    return _document(request, f"plots/{name}")


@router.get("/evidence/{question_id}", response_model=None)
def evidence_of(request: Request, question_id: str, user: GetUserDep) -> Response:
    """Give the last runs of a question's DAGs, of those that the user may see."""
    site: Site = request.app.state.site
    found = site.question(question_id)
    if found is None:
        raise HTTPException(404, f"There is no question {question_id}.")
    dags = [dag for dag in dags_of(found) if all(_may_read(user, dag, entity) for entity in SEEN)]
    if not dags:
        raise HTTPException(403, "You may not read the runs of this question's DAG.")
    with create_session() as session:
        return _reply(request, evidence(found, dags, session, _data_root()))


def _data_root() -> Path | None:
    """Return the folder that all runs share, by the Variable of the environment: asking Airflow would be a query more."""
    folder = os.environ.get("AIRFLOW_VAR_DATA_ROOT")
    return Path(folder) if folder else None


@router.get("/of-dag/{dag_id}", response_model=None)
def dag(request: Request, dag_id: str, user: GetUserDep) -> Response:
    """Tell which question a DAG belongs to, by the file that defines it; None where it is of no question."""
    if not _may_read(user, dag_id, None):
        raise HTTPException(403, f"You may not read the DAG {dag_id}.")
    with create_session() as session:
        file = session.scalar(select(DagModel.relative_fileloc).where(DagModel.dag_id == dag_id))
    return _reply(request, {"dag": dag_id, "file": file, "question": question_of_file(file or "")})


def _may_read(user: BaseUser, dag_id: str, entity: DagAccessEntity | None) -> bool:
    """Ask Airflow as its own routes do. A team is looked up only where there are teams: it costs a query."""
    team = DagModel.get_team_name(dag_id) if conf.getboolean("core", "multi_team") else None
    details = DagDetails(id=dag_id, team_name=team)
    return get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)
