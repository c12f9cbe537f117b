"""A log-in with Django's sessions and messages. STORE is the database, or says that the cookie has all; PORT is where to
listen, SECRET Django's key."""

import os
import time
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.contrib import messages
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

store = urlsplit(os.environ["STORE"])
in_cookie = store.scheme == "cookie"
database = {
    "ENGINE": "django.db.backends." + {"sqlite": "sqlite3"}.get(store.scheme, "postgresql"),
    "HOST": store.hostname,
    "PORT": store.port,
    "USER": store.username,
    "NAME": store.path[1:],
}
backend = "signed_cookies" if in_cookie else "db"
settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={} if in_cookie else {"default": database},
    SESSION_ENGINE=f"django.contrib.sessions.backends.{backend}",
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.messages"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
)
django.setup()


def login(request):
    request.session.cycle_key()
    request.session["user"] = request.GET["u"]
    request.session["roles"] = ["admin", "staff"]
    messages.info(request, "Welcome")
    return JsonResponse({"user": request.session["user"]})


def whoami(request):
    session = request.session
    notices = [message.message for message in messages.get_messages(request)]
    return JsonResponse({"user": session.get("user"), "roles": session.get("roles", []), "notices": notices})


def logout(request):
    request.session.flush()
    return JsonResponse({})


def slow(request):
    user = request.session.get("user")
    time.sleep(3)
    return JsonResponse({"user": user})


urlpatterns = [path("login", login), path("whoami", whoami), path("logout", logout), path("slow", slow)]

if __name__ == "__main__":
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    if not in_cookie:
        call_command("migrate", verbosity=0)
    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application(), Server).serve_forever()
