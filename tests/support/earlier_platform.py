"""Dump the users of a real Django, with a password hash of each algorithm.

``python earlier_platform.py PASSWORD FORMAT ALGORITHM…`` writes the output of ``manage.py dumpdata
--format FORMAT``, with all models.
"""

import sys

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PASSWORD_HASHERS=[
        f"django.contrib.auth.hashers.{kind}PasswordHasher"
        for kind in ("PBKDF2", "PBKDF2SHA1", "Scrypt", "BCryptSHA256", "BCrypt", "Argon2")
    ],
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.hashers import make_password  # noqa: E402 - not before the set-up
from django.contrib.auth.models import User  # noqa: E402 - the same

for algorithm in sys.argv[3:]:
    user = User(username=algorithm, email=f"{algorithm}@Example.com", first_name="Zoë")
    user.password = make_password(sys.argv[1], hasher=algorithm)
    user.save()
User.objects.create_user("nobody", "nobody@example.com")  # without a password
call_command("dumpdata", format=sys.argv[2])
