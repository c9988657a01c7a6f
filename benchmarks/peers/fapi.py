"""fastapi-users with its JWT strategy and SQLAlchemy adapter, on uvicorn.

It has no refresh and cannot revoke a JWT. A GET loads the user and checks that it is active.
"""

import asyncio
from datetime import datetime
from uuid import UUID

from common import ACCESS_SECONDS, ROUNDS, SECRET, now, set_pragmas, sqlalchemy_url
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, String, event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    username: Mapped[str] = mapped_column(String(254), default="")
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    date_joined: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)


class UserRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str
    username: str
    first_name: str
    last_name: str
    date_joined: datetime


class RegisteredUser(schemas.BaseUser[UUID]):
    pass


class UserCreate(schemas.BaseUserCreate):
    username: str = ""


engine = create_async_engine(
    sqlalchemy_url("asyncpg").replace("sqlite://", "sqlite+aiosqlite://"),
)
event.listen(engine.sync_engine, "connect", set_pragmas)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class UserManager(UUIDIDMixin, BaseUserManager[User, UUID]):
    reset_password_token_secret = verification_token_secret = SECRET


async def user_manager():
    async with sessions() as session:
        hasher = PasswordHelper(PasswordHash((BcryptHasher(rounds=ROUNDS),)))
        yield UserManager(SQLAlchemyUserDatabase(session, User), hasher)


def strategy():
    return JWTStrategy(secret=SECRET, lifetime_seconds=ACCESS_SECONDS)


backend = AuthenticationBackend(
    name="jwt", transport=BearerTransport(tokenUrl="api/login"), get_strategy=strategy
)
users = FastAPIUsers[User, UUID](user_manager, [backend])
app = FastAPI()
app.include_router(users.get_auth_router(backend), prefix="/api")
app.include_router(users.get_register_router(RegisteredUser, UserCreate), prefix="/api")
active_user = users.current_user(active=True)


@app.get("/api/user/", response_model=UserRead)
async def user(current: User = Depends(active_user)):  # noqa: B008
    return current


async def create_tables():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables())
