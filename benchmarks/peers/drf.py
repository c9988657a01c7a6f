"""Django REST framework with simplejwt, rotation, and its blacklist app.

simplejwt checks its blacklist for refresh tokens only. A GET user therefore runs one query, without
a revocation check, which is an advantage over PyCoder.
"""

import sys
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import django
from common import (
    ACCESS_SECONDS,
    DATABASE_URL,
    PRAGMAS,
    REFRESH_SECONDS,
    SECRET,
    SQLITE,
    SQLITE_FILE,
    user_json,
)
from django.conf import settings
from django.core.wsgi import get_wsgi_application


def database():
    """Return Django's settings for the database, except ``CONN_MAX_AGE``."""
    if SQLITE:
        options = {
            "init_command": ";".join(PRAGMAS),
            "transaction_mode": "IMMEDIATE",  # else transactions that read first may fail
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": SQLITE_FILE, "OPTIONS": options}
    parts = urlsplit(DATABASE_URL)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": parts.username,
        "HOST": parse_qs(parts.query)["host"][0],
    }


settings.configure(
    SECRET_KEY=SECRET,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {**database(), "CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.BCryptSHA256PasswordHasher"],  # cost 12
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    },
    SIMPLE_JWT={
        "ACCESS_TOKEN_LIFETIME": timedelta(seconds=ACCESS_SECONDS),
        "REFRESH_TOKEN_LIFETIME": timedelta(seconds=REFRESH_SECONDS),
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": True,
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import permissions, serializers, views  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView  # noqa: E402


class RegisterSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("email", "username", "password")

    def create(self, validated_data):
        return User.objects.create_user(**validated_data)


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("id", "email", "username", "first_name", "last_name", "date_joined")


class RegisterView(views.APIView):
    def post(self, request):
        serializer = RegisterSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = serializer.save()
        refresh = RefreshToken.for_user(user)
        tokens = {"access": str(refresh.access_token), "refresh": str(refresh)}
        return Response({"user": user_json(user), "tokens": tokens}, status=201)


class UserView(views.APIView):
    permission_classes = (permissions.IsAuthenticated,)

    def get(self, request):
        return Response(UserSerializer(request.user).data)


urlpatterns = [
    path("api/register/", RegisterView.as_view()),
    path("api/login/", TokenObtainPairView.as_view()),
    path("api/user/", UserView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
]
app = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line([sys.argv[0], "migrate", "--verbosity", "0"])
