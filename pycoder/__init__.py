"""PyCoder: a Flask service that authenticates users with JSON Web Tokens."""

from pathlib import Path

from flask import Flask

import config as settings
from pycoder import admin, auth, cli, logs, system, web
from pycoder.db import files
from pycoder.extensions import cors, db, migrate
from pycoder.http import cors as cors_settings
from pycoder.http import middleware, problems, request
from pycoder.http.openapi import api
from pycoder.keys import store
from pycoder.mail import backend
from pycoder.passwords import pool
from pycoder.ratelimit import limiter
from pycoder.tokens.jwt import jwt

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def create_app(config: settings.Config | None = None) -> Flask:
    """Create the application for these settings, by default those of the process.

    Raises ``ConfigError`` for an unsafe setting, before anything else happens.
    """
    config = config or settings.load()
    config.check()
    app = Flask(__name__, instance_path=str(config.instance), static_folder=None)
    app.config.from_object(config)
    app.extensions["pycoder.config"] = config
    config.instance.mkdir(0o700, parents=True, exist_ok=True)

    logs.init_app(app)
    for name, reason in config.unknown_names().items():
        app.logger.warning("%s %s", name, reason)
    files.init_app(app)
    middleware.init_app(app)
    request.init_app(app)
    store.init_app(app)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    limiter.init_app(app)
    pool.init_app(app)
    backend.init_app(app)
    jwt.init_app(app)
    cors.init_app(app, **cors_settings.cors_options(config.CORS_ORIGINS))
    api.init_app(app)
    problems.init_app(app)  # after flask-smorest, whose error handler it replaces

    api.register_blueprint(auth.bp)
    api.register_blueprint(admin.bp)
    api.register_blueprint(system.bp)
    app.register_blueprint(web.bp)
    cli.init_app(app)
    return app
