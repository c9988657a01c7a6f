"""The floor: the least work that a GET user and a refresh need.

A GET user is raw WSGI, one PyJWT decode, one SELECT by primary key, and ``json.dumps``. A refresh
is one decode and one conditional UPDATE. The application has no error handling, no validation and
no features.
"""

import json
import secrets
import sqlite3
import threading
import time

import bcrypt
import jwt
import psycopg
from common import (
    ACCESS_SECONDS,
    DATABASE_URL,
    PRAGMAS,
    REFRESH_SECONDS,
    ROUNDS,
    SECRET,
    SQLITE,
    SQLITE_FILE,
    now,
)

ID = "INTEGER PRIMARY KEY" if SQLITE else "BIGSERIAL PRIMARY KEY"
TABLES = (
    f"CREATE TABLE users (id {ID}, email VARCHAR(254) UNIQUE, username VARCHAR(254),"
    " first_name VARCHAR(150), last_name VARCHAR(150), date_joined VARCHAR(40),"
    " password_hash VARCHAR(60))",
    "CREATE TABLE sessions (id VARCHAR(32) PRIMARY KEY, user_id BIGINT,"
    " refresh_jti VARCHAR(32), revoked INTEGER)",
)
COLUMNS = ("id", "email", "username", "first_name", "last_name", "date_joined")
TOKEN_STATE = (
    f"SELECT {', '.join('u.' + column for column in COLUMNS)} FROM sessions s"
    " JOIN users u ON u.id = s.user_id WHERE s.id = ? AND s.revoked = 0"
)
ROTATE = "UPDATE sessions SET refresh_jti = ? WHERE id = ? AND refresh_jti = ? AND revoked = 0"

local = threading.local()


def connect():
    if not SQLITE:
        return psycopg.connect(DATABASE_URL, autocommit=True)
    connection = sqlite3.connect(SQLITE_FILE, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


def execute(sql, values):
    """Run one statement in autocommit, on the connection of this thread."""
    if not hasattr(local, "connection"):
        local.connection = connect()
    return local.connection.execute(sql if SQLITE else sql.replace("?", "%s"), values)


def token(kind, sid, jti, seconds):
    issued = int(time.time())
    claims = {"sub": sid, "jti": jti, "type": kind, "iat": issued, "exp": issued + seconds}
    return jwt.encode(claims, SECRET)


def pair(sid, jti):
    return {
        "access": token("access", sid, secrets.token_urlsafe(16), ACCESS_SECONDS),
        "refresh": token("refresh", sid, jti, REFRESH_SECONDS),
    }


def sign_in(user_id):
    sid, jti = secrets.token_hex(16), secrets.token_urlsafe(16)
    execute("INSERT INTO sessions VALUES (?, ?, ?, 0)", (sid, user_id, jti))
    return {"tokens": pair(sid, jti)}


def register(environ):
    body = read(environ)
    hashed = bcrypt.hashpw(body["password"].encode(), bcrypt.gensalt(ROUNDS)).decode()
    row = execute(
        "INSERT INTO users (email, username, first_name, last_name, date_joined, password_hash)"
        " VALUES (?, ?, '', '', ?, ?) RETURNING id",
        (body["email"], body["username"], now().isoformat(), hashed),
    ).fetchone()
    return 201, sign_in(row[0])


def login(environ):
    body = read(environ)
    found = execute("SELECT id, password_hash FROM users WHERE email = ?", (body["email"],))
    row = found.fetchone()
    if not row or not bcrypt.checkpw(body["password"].encode(), row[1].encode()):
        return 400, {"code": "invalid_credentials"}
    return 200, sign_in(row[0])


def user(environ):
    encoded = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    claims = jwt.decode(encoded, SECRET, algorithms=["HS256"])
    row = execute(TOKEN_STATE, (claims["sub"],)).fetchone()
    if row is None or claims["type"] != "access":
        return 401, {"code": "token_revoked"}
    return 200, dict(zip(COLUMNS, row, strict=True))


def refresh(environ):
    claims = jwt.decode(read(environ)["refresh"], SECRET, algorithms=["HS256"])
    jti = secrets.token_urlsafe(16)
    rotated = execute(ROTATE, (jti, claims["sub"], claims["jti"])).rowcount
    if not rotated or claims["type"] != "refresh":
        return 401, {"code": "token_revoked"}
    return 200, pair(claims["sub"], jti)


def read(environ):
    return json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))


ROUTES = {
    "/api/register/": register,
    "/api/login/": login,
    "/api/user/": user,
    "/api/token/refresh/": refresh,
}
REASONS = {200: "200 OK", 201: "201 Created", 400: "400 Bad Request", 401: "401 Unauthorized"}


def app(environ, start_response):
    try:
        status, response = ROUTES[environ["PATH_INFO"]](environ)
    except jwt.InvalidTokenError:
        status, response = 401, {"code": "token_invalid"}
    body = json.dumps(response).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(REASONS[status], headers)
    return [body]


if __name__ == "__main__":
    for table in TABLES:
        connect().execute(table)
