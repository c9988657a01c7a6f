"""Constants that all tests share."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"
SECRET_KEY = "mDkyGXkFSn1Vu4i0XxwLq7ZtRj9bEoTaPcHyWd2sQeUf"
SOAK = int(os.environ.get("SOAK", "1"))
PRODUCTION = {  # what production requires, beside the secret key and PUBLIC_URL
    "MAIL_URL": "smtp://localhost",
    "TRUSTED_PROXIES": "0",
}
