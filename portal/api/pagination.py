"""Pages by cursor: stable while rows arrive, and as quick at the end of a long list as at its beginning."""

from rest_framework.pagination import CursorPagination as _CursorPagination

MAX_PAGE_SIZE = 1000


class CursorPagination(_CursorPagination):
    """Orders by the view's `ordering`; `?page_size=` asks for up to MAX_PAGE_SIZE rows."""

    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE
    ordering = "pk"
