"""The ASGI application that uvicorn serves."""

import os

from django.core.asgi import get_asgi_application

from portal.web.uploads import bounded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = bounded(get_asgi_application())
