"""The ``system`` blueprint: health checks, metrics, and documents for machines."""

from pycoder.http.openapi import Blueprint

bp = Blueprint("system", __name__, description="Health checks, metrics, and documents for machines")

from pycoder.system import health, well_known  # noqa: E402, F401
