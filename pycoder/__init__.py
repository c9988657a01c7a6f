"""PyCoder signs people in with JWTs. ``create_app`` is the table of contents."""

from pathlib import Path

from flask import Flask

import config as settings
from pycoder import (
    auth,
    cli,
    errors,
    hashing,
    keystore,
    logs,
    mail,
    ops,
    throttle,
    tokens,
    web,
    wire,
)
from pycoder.extensions import cors, db, migrate
from pycoder.openapi import api

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def create_app(config: settings.Config | None = None) -> Flask:
    """Return the application for these settings, by default those of the process.

    Raises ``ConfigError`` for an unsafe setting, before anything else happens.
    """
    config = config or settings.load()
    config.check()
    app = wire.Application(__name__, instance_path=str(config.instance), static_folder=None)
    app.config.from_object(config)
    app.extensions["pycoder.config"] = config
    config.instance.mkdir(parents=True, exist_ok=True)

    logs.init_app(app)
    wire.init_app(app)
    errors.init_app(app)
    keystore.init_app(app)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    throttle.init_app(app)
    hashing.init_app(app)
    mail.init_app(app)
    tokens.jwt.init_app(app)
    cors.init_app(app, **wire.cors_options(config.CORS_ORIGINS))
    api.init_app(app)

    api.register_blueprint(auth.bp)
    api.register_blueprint(ops.bp)
    app.register_blueprint(web.bp)
    cli.init_app(app)
    return app
