"""The Flask extensions, unbound; ``create_app`` binds them."""

from typing import Any

from flask import Flask, request
from flask_cors import CORS
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pycoder.db.base import Base
from pycoder.db.sqlite import BusyRetryConnection

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True)


class AskedCORS(CORS):
    """Flask-CORS for who names an origin: to others it says nothing, and takes its time for it."""

    def init_app(self, app: Flask, **options: Any) -> None:  # type: ignore[override]
        super().init_app(app, **options)
        answer = app.after_request_funcs[None].pop()
        app.after_request(lambda given: answer(given) if "Origin" in request.headers else given)


cors = AskedCORS()


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
    """Have both databases answer or fail in time."""
    if dialect.driver != "psycopg":
        cparams["factory"] = BusyRetryConnection
        return None
    from pycoder.db.postgresql import TimeoutConnection  # psycopg is an extra

    return TimeoutConnection.connect(*cargs, **cparams)
