"""A Django platform that issues its tokens by django-simplejwt.

``python simplejwt_platform.py COMMAND OPTIONS``, with the version of simplejwt in PYTHONPATH.
``OPTIONS`` are JSON. The commands: ``issue`` prints tokens of every kind, ``serve`` serves the
platform on a port, and ``export`` writes its users and its outstanding tokens to files.
"""

import json
import sys
import types
from datetime import timedelta
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

OPTIONS = json.loads(sys.argv[2])
KEY = OPTIONS["key"]

try:
    import pkg_resources  # noqa: F401 - simplejwt 5.2 reads its version by it
except ImportError:
    old = types.ModuleType("pkg_resources")
    old.DistributionNotFound = LookupError
    old.get_distribution = lambda name: types.SimpleNamespace(version="")
    sys.modules["pkg_resources"] = old

import django  # noqa: E402 - after pkg_resources
from django.conf import settings  # noqa: E402 - after pkg_resources
from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402 - after pkg_resources


class FastHasher(PBKDF2PasswordHasher):
    iterations = 1


blacklist = ["rest_framework_simplejwt.token_blacklist"] if OPTIONS["blacklist"] else []
settings.configure(
    SECRET_KEY="the secret of Django itself, which signs no token",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        *("django.contrib.contenttypes", "django.contrib.auth", "rest_framework"),
        *("rest_framework_simplejwt", *blacklist),
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": OPTIONS.get("database", ":memory:"),
        }
    },
    MIGRATION_MODULES=dict.fromkeys(("contenttypes", "auth", "token_blacklist")),  # saves time
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=[f"{__name__}.FastHasher"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "UNAUTHENTICATED_USER": None,
    },
    SIMPLE_JWT={
        "SIGNING_KEY": KEY,
        "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
        "ROTATE_REFRESH_TOKENS": OPTIONS["rotation"],
        "BLACKLIST_AFTER_ROTATION": OPTIONS["rotation"] and OPTIONS["blacklist"],
        **OPTIONS.get("settings", {}),
    },
)
sys.modules[__name__.strip("_") or __name__] = sys.modules[__name__]
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - after setup()
from django.core.management import call_command  # noqa: E402 - after setup()
from django.core.wsgi import get_wsgi_application  # noqa: E402 - after setup()
from django.urls import path  # noqa: E402 - after setup()
from rest_framework.permissions import IsAuthenticated  # noqa: E402 - after setup()
from rest_framework.response import Response  # noqa: E402 - after setup()
from rest_framework.views import APIView  # noqa: E402 - after setup()
from rest_framework_simplejwt.backends import TokenBackend  # noqa: E402 - after setup()
from rest_framework_simplejwt.serializers import TokenRefreshSerializer  # noqa: E402 - after setup()
from rest_framework_simplejwt.settings import api_settings  # noqa: E402 - after setup()
from rest_framework_simplejwt.tokens import RefreshToken, SlidingToken  # noqa: E402 - after setup()
from rest_framework_simplejwt.views import (  # noqa: E402 - after setup()
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
)


class Me(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"id": request.user.id, "username": request.user.username})


urlpatterns = [
    path("api/login/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/logout/", TokenBlacklistView.as_view()),
    path("api/user/", Me.as_view()),
]


def create_users():
    """Create the users with the ids of ``OPTIONS``."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    hasher = FastHasher()
    User.objects.bulk_create(
        User(
            id=number,
            username=f"person{number}",
            email=f"person{number}@example.com",
            password=hasher.encode(OPTIONS["password"], hasher.salt()),
        )
        for number in OPTIONS["ids"]
    )


def issue():
    """Return tokens of every kind for the first user, by name."""
    create_users()
    user = User.objects.first()

    def fresh():
        return RefreshToken.for_user(user)

    tokens = {name: str(fresh()) for name in ("first", "second", "third")}
    tokens["access"] = str(fresh().access_token)
    tokens["sliding"] = str(SlidingToken.for_user(user))
    expired = fresh()
    long_ago = expired.current_time - timedelta(days=2)
    expired.set_iat(at_time=long_ago)
    expired.set_exp(from_time=long_ago)
    longer = fresh()
    longer.set_exp(lifetime=timedelta(days=2))
    tokens |= {"expired": str(expired), "longer": str(longer), "used": str(fresh())}
    serializer = TokenRefreshSerializer(data={"refresh": tokens["used"]})
    serializer.is_valid(raise_exception=True)
    tokens["rotated"] = serializer.validated_data.get("refresh", tokens["used"])
    if blacklist:
        over = fresh()
        over.blacklist()
        tokens["blacklisted"] = str(over)
    for name, value in OPTIONS["ids_of_others"].items():
        other = fresh()
        other[api_settings.USER_ID_CLAIM] = value
        tokens[name] = str(other)
    for name, (algorithm, key) in OPTIONS["keys"].items():
        tokens[name] = TokenBackend(algorithm, key).encode(fresh().payload)
    for name, claims in {"aud": {"audience": "shop"}, "iss": {"issuer": "shop"}}.items():
        tokens[name] = TokenBackend("HS256", KEY, "", **claims).encode(fresh().payload)
    return tokens


def export():
    """Write the users, and the outstanding tokens by the snippet of the documents."""
    with Path("users.jsonl").open("w") as file:
        call_command("dumpdata", "auth.user", format="jsonl", stdout=file)
    if blacklist:
        exec(OPTIONS["snippet"], {})  # noqa: S102 - of docs/operations.md


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve():
    create_users()
    with make_server(
        "127.0.0.1", OPTIONS["port"], get_wsgi_application(), handler_class=Quiet
    ) as server:
        print("serving", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    command = sys.argv[1]
    if command == "issue":
        answer = {"tokens": issue()}
        if blacklist:
            exec(OPTIONS["snippet"], {})  # noqa: S102 - of docs/operations.md
            answer["list"] = Path("outstanding.jsonl").read_text()
        print(json.dumps(answer))  # noqa: T201
    else:
        {"serve": serve, "export": export}[command]()
