"""Take over the signed-in users of a platform that uses django-simplejwt."""
