"""A browser that keeps tokens in cookies, and the cookies that responses set."""

from http.cookies import SimpleCookie

from tests.support.constants import PASSWORD

ACCESS, REFRESH, CSRF = "pycoder_access", "pycoder_refresh", "pycoder_csrf"
PATHS = {ACCESS: "/", REFRESH: "/api/token/", CSRF: "/"}
PREFIXED = {ACCESS: f"__Host-{ACCESS}", REFRESH: f"__Secure-{REFRESH}", CSRF: f"__Host-{CSRF}"}
EVIL = "https://evil.example"


class Browser:
    """A browser that keeps cookies, with a page that keeps the CSRF token."""

    def __init__(self, app, email="ada@example.com"):
        self.client, self.email, self.csrf = app.test_client(), email, ""

    def register(self, **fields):
        return self.sign_in("register", **fields)

    def sign_in(self, how="login", **fields):
        body = {"email": self.email, "password": PASSWORD, "transport": "cookie", **fields}
        response = self.client.post(f"/api/{how}/", json=body)
        if response.status_code < 300:
            self.csrf = response.json.get("csrf_token")
        return response

    def call(self, method, path, *, csrf=None, headers=(), **kwargs):
        csrf = self.csrf if csrf is None else csrf
        headers = [*dict(headers).items(), *([("X-CSRF-TOKEN", csrf)] if csrf else [])]
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def user(self):
        return self.client.get("/api/user/")

    def refresh(self, key=None, **kwargs):
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/api/token/refresh/", headers=headers, **kwargs)

    def logout(self, **kwargs):
        return self.call("POST", "/api/logout/", **kwargs)

    def token(self, name):
        kept = self.client.get_cookie(name, path=PATHS[name])
        return kept and kept.value

    def put(self, name, value):
        self.client.set_cookie(name, value, path=PATHS[name])


def set_by(response):
    """Return the cookies that a response sets, without the device cookie."""
    jar = SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        jar.load(header)
    jar.pop("device", None)
    return dict(jar)


def refused(response, code="csrf_failed", status=403):
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    return set_by(response) == {}


def assert_cookie_attributes(cookies, names, *, secure, max_age):
    assert set(cookies) == set(names.values())
    for name, path in PATHS.items():
        cookie = cookies[names[name]]
        assert cookie["path"] == path
        assert cookie["samesite"] == "Lax"
        assert cookie["domain"] == ""
        assert bool(cookie["secure"]) is secure
        assert bool(cookie["httponly"]) is (name != CSRF)
        assert 0 <= max_age - int(cookie["max-age"]) <= 60
        assert len(cookie.OutputString()) < 4096


UNSAFE = {
    "refresh": ("POST", "/api/token/refresh/", 200),
    "logout": ("POST", "/api/logout/", 204),
    "end others": ("DELETE", "/api/sessions/", 204),
    "profile": ("PATCH", "/api/user/", 200),
    "resend": ("POST", "/api/email/verify/resend/", 202),
    "delete": ("DELETE", "/api/user/", 401),  # without the password, but past the check
}


def assert_gone(response):
    plain = {name: name for name in PATHS}
    assert_cookie_attributes(set_by(response), plain, secure=False, max_age=0)
