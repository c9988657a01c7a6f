"""Take over the signed-in users of a platform that issued its tokens by django-simplejwt."""
