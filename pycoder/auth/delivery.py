"""How a sign-in reaches the client: the pair in the body, the device in a cookie."""

from flask import Response, after_this_request, current_app

from pycoder.sessions import SignedIn

DEVICE_COOKIE = "device"
YEAR = 365 * 86_400


def deliver(signed_in: SignedIn) -> SignedIn:
    """Return what the body holds, and have the answer set the device cookie."""

    @after_this_request
    def remember_device(response: Response) -> Response:
        response.set_cookie(
            DEVICE_COOKIE,
            signed_in.device,
            max_age=YEAR,
            path="/api/",
            secure=current_app.config["COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response

    return signed_in
