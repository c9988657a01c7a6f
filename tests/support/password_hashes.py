"""Password hashes that other software made."""

import pytest

KNOWN = "correct horse é"
# made by libpass 1.9.4
LIBPASS = "$bcrypt-sha256$v=2,t=2b,r=4$puoGE1.i5E9pNsPcQOGnVu$eQxM9Wgz2dQMY.6U9sPiHK64yg7HjQO"
LIBPASS_LONG = "$bcrypt-sha256$v=2,t=2b,r=4$R3HDa01MN1/TfDrBUreTU.$fdkPb34aXKvrTJlLZIeDwMrUOYNFB3y"
# made by Django 5.2 at low cost
FOREIGN = {
    "pbkdf2": "pbkdf2_sha256$1000$BdoX6YQw7UtTVqnRft3KVF$"
    "3T8cwV0WtwNmLYZeSClE7C/cazugvoX6yhBnZe7vRVQ=",
    "bcrypt_sha256": "bcrypt_sha256$$2b$04$9McmUEOjRwCkUxKhIjkk6.UTZZbEaYBA1NWmUGheI7FTaw50c2vfC",
    "django bcrypt": "bcrypt$$2b$04$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    "plain bcrypt": "$2b$04$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    "argon2": "argon2$argon2id$v=19$m=64,t=1,p=8$Rkp1ZTNDdkp6Y0RkN2pEZVRZRzQwbQ$"
    "06VfKp1MPpKv4Nb/US9d2RiEpwzMMYCMFbgWmkUlKBM",
}

foreign = pytest.mark.parametrize("hashed", FOREIGN.values(), ids=FOREIGN.keys())
