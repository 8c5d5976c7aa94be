"""A Django site under gunicorn, in one file: models in SQLite, a cache that fills, a template.

    django_site.py FOLDER

Serves on FOLDER/socket; one worker, which says "ready" with its PID.
"""
import ctypes
import json
import os
import signal
import sys

import django
from django.conf import settings

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "."
settings.configure(
    DEBUG=False, SECRET_KEY="of a benchmark", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.admin", "django.contrib.messages"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                   "django.contrib.auth.context_processors.auth",
                                                   "django.contrib.messages.context_processors.messages"]}}],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                        "OPTIONS": {"MAX_ENTRIES": 100000}}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(FOLDER, "site.db")}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField")
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402

PAGE = "<ul>{% for user in users %}<li>{{ user.username }}: {{ user.email }}</li>{% endfor %}</ul>"


def users(request, number):
    name = "user %d" % number
    user, _ = User.objects.get_or_create(username=name, defaults={"email": "%d@example.org" % number})
    page = engines["django"].from_string(PAGE).render({"users": User.objects.all()[:50]}, request)
    cache.set(name, {"page": page, "user": user}, None)
    return HttpResponse(page)


urlpatterns = [path("users/<int:number>", users), path("admin/", admin.site.urls)]


class Site(BaseApplication):
    def load_config(self):
        for name, value in {"bind": "unix:" + os.path.join(FOLDER, "socket"), "workers": 1, "timeout": 600,
                            "post_worker_init": self.ready, "loglevel": "error"}.items():
            self.cfg.set(name, value)

    def load(self):
        return get_wsgi_application()

    @staticmethod
    def ready(worker):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: goes with the arbiter
        os.write(1, (json.dumps({"event": "ready", "pid": os.getpid()}) + "\n").encode())


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    sys.argv[1:] = []
    Site().run()
