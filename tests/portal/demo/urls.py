"""The portal's addresses as in the demo."""

from portal.ops.demo.urls import urlpatterns as demo
from portal.urls import urlpatterns as usual

urlpatterns = [*usual, *demo]
