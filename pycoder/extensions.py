"""The Flask extensions. ``create_app`` initializes them."""

from typing import Any

from flask_cors import CORS
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pycoder.db.base import Base
from pycoder.db.sqlite import BusyRetryConnection

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True)
cors = CORS()


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
    """Connect to a database with a timeout: it responds or fails within seconds."""
    if dialect.driver != "psycopg":
        cparams["factory"] = BusyRetryConnection
        return None  # SQLAlchemy connects
    from pycoder.db.postgresql import TimeoutConnection  # psycopg is an extra

    return TimeoutConnection.connect(*cargs, **cparams)
