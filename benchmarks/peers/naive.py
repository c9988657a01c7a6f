"""Flask-JWT-Extended as its tutorials use it.

The user and the blocklist are looked up through the ORM. A refresh adds the jti of the old token
to the blocklist. Two simultaneous refreshes both succeed.
"""

from datetime import timedelta

import bcrypt
from common import (
    ACCESS_SECONDS,
    REFRESH_SECONDS,
    ROUNDS,
    SECRET,
    now,
    set_pragmas,
    sqlalchemy_url,
    user_json,
)
from flask import Flask, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    current_user,
    get_jwt,
    jwt_required,
)
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

event.listen(Engine, "connect", set_pragmas)

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url()
app.config["JWT_SECRET_KEY"] = SECRET
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(seconds=ACCESS_SECONDS)
app.config["JWT_REFRESH_TOKEN_EXPIRES"] = timedelta(seconds=REFRESH_SECONDS)
app.config["JWT_REFRESH_JSON_KEY"] = "refresh"
db = SQLAlchemy(app)
jwt = JWTManager(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(254), unique=True, nullable=False)
    username = db.Column(db.String(254), unique=True, nullable=False)
    first_name = db.Column(db.String(150), default="")
    last_name = db.Column(db.String(150), default="")
    date_joined = db.Column(db.DateTime, default=now)
    password_hash = db.Column(db.String(60), nullable=False)


class TokenBlocklist(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    jti = db.Column(db.String(36), nullable=False, index=True)
    created_at = db.Column(db.DateTime, nullable=False)


@jwt.user_identity_loader
def identity(user):
    return str(user.id)


@jwt.user_lookup_loader
def look_up(header, claims):
    return User.query.filter_by(id=int(claims["sub"])).one_or_none()


@jwt.token_in_blocklist_loader
def is_revoked(header, claims):
    token = db.session.query(TokenBlocklist.id).filter_by(jti=claims["jti"]).scalar()
    return token is not None


def pair(user):
    return {"access": create_access_token(user), "refresh": create_refresh_token(user)}


@app.post("/api/register/")
def register():
    body = request.get_json()
    hashed = bcrypt.hashpw(body["password"].encode(), bcrypt.gensalt(ROUNDS)).decode()
    user = User(email=body["email"], username=body["username"], password_hash=hashed)
    db.session.add(user)
    db.session.commit()
    return {"user": user_json(user), "tokens": pair(user)}, 201


@app.post("/api/login/")
def login():
    body = request.get_json()
    user = User.query.filter_by(email=body["email"]).one_or_none()
    if not user or not bcrypt.checkpw(body["password"].encode(), user.password_hash.encode()):
        return {"code": "invalid_credentials"}, 400
    return {"user": user_json(user), "tokens": pair(user)}


@app.get("/api/user/")
@jwt_required()
def user():
    return user_json(current_user)


@app.post("/api/token/refresh/")
@jwt_required(refresh=True, locations=["json"])
def refresh():
    db.session.add(TokenBlocklist(jti=get_jwt()["jti"], created_at=now()))
    db.session.commit()
    return pair(current_user)


if __name__ == "__main__":
    with app.app_context():
        db.create_all()
