"""Django REST framework's own tokens and django-rest-knox's, each before a view that tells who is asking.

    gunicorn django_peer:application                PEER_DATABASE is a PostgreSQL URL, or the path of an SQLite file
    python django_peer.py seed drf|knox COUNT       makes the tables and so many tokens, and prints these

There is no middleware and connections are kept: what is left is the framework, the look-up and the answer.
"""

import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings


def database():
    where = os.environ["PEER_DATABASE"]
    if not where.startswith("postgres:"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": where,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
            "CONN_MAX_AGE": None,
        }
    url = urlsplit(where)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": url.username,
        "NAME": url.path.lstrip("/"),
        "CONN_MAX_AGE": None,
    }


settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": database()},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
        "knox",
    ],
    MIDDLEWARE=[],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="for a benchmark on a loopback port",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.urls import path
from knox.auth import TokenAuthentication as Knox
from knox.models import AuthToken
from rest_framework.authentication import TokenAuthentication as Drf
from rest_framework.authtoken.models import Token
from rest_framework.response import Response
from rest_framework.views import APIView


class WhoAmI(APIView):
    def get(self, request):
        return Response({"active": True, "id": request.user.pk, "username": request.user.username, "scopes": []})


urlpatterns = [
    path("drf", WhoAmI.as_view(authentication_classes=[Drf])),
    path("knox", WhoAmI.as_view(authentication_classes=[Knox])),
]
application = get_wsgi_application()


def seed(kind, count):
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        for number in range(count):
            user, _ = User.objects.get_or_create(username=f"user{number}")
            print(Token.objects.create(user=user).key if kind == "drf" else AuthToken.objects.create(user)[1])


if __name__ == "__main__":
    seed(sys.argv[2], int(sys.argv[3]))
