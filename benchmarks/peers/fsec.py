"""Flask-Security-Too with authentication tokens.

A GET loads the user by ``fs_uniquifier``, which changes when all tokens of the user are revoked.
Refresh tokens exist only in a Secure cookie and are not measured.
"""

from datetime import timedelta

from common import (
    ACCESS_SECONDS,
    ROUNDS,
    SECRET,
    now,
    set_pragmas,
    sqlalchemy_url,
    user_json,
)
from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, current_user
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

event.listen(Engine, "connect", set_pragmas)

app = Flask(__name__)
app.config.update(
    SECRET_KEY=SECRET,
    SQLALCHEMY_DATABASE_URI=sqlalchemy_url(),
    WTF_CSRF_ENABLED=False,
    SECURITY_URL_PREFIX="/api",
    SECURITY_PASSWORD_SALT=SECRET,
    SECURITY_PASSWORD_HASH="bcrypt",
    SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={"bcrypt__rounds": ROUNDS},
    SECURITY_REGISTERABLE=True,
    SECURITY_SEND_REGISTER_EMAIL=False,
    SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
    SECURITY_TOKEN_MAX_AGE=timedelta(seconds=ACCESS_SECONDS),
)
db = SQLAlchemy(app)
fsqla_v3.FsModels.set_db_info(db)


class Role(db.Model, fsqla_v3.FsRoleMixin):
    pass


class User(db.Model, fsqla_v3.FsUserMixin):
    first_name = db.Column(db.String(150), default="")
    last_name = db.Column(db.String(150), default="")
    date_joined = db.Column(db.DateTime, default=now)


Security(app, SQLAlchemyUserDatastore(db, User, Role))


@app.get("/api/user/")
@auth_required("token")
def user():
    return user_json(current_user)


if __name__ == "__main__":
    with app.app_context():
        db.create_all()
