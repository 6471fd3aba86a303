"""Parts that every template uses: icons, states, numbers, times, identifiers that copy on click."""

from collections.abc import Mapping
from datetime import datetime

from django import template
from django.http import QueryDict
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portal.web import figures, keys_words, states
from portal.web.states import Counts, State
from portal.web.words import role_name
from provisioning.keys.models import DeviceKey, KeyState

register = template.Library()

register.filter("eui", figures.eui)
register.filter("pairing_state", states.of_pairing)
register.simple_tag(keys_words.purpose_name, name="key_purpose")


@register.filter
def figure(value: figures.Number | str | None, digits: int = 0) -> str:
    """A number; what a template does not find (an empty text) is none."""
    return figures.figure(None if isinstance(value, str) else value, digits)


@register.filter
def span(seconds: float | str | None) -> str:
    """A duration."""
    return figures.span(None if isinstance(seconds, str) else seconds)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A line icon; decoration only, the word stands beside it."""
    return format_html('<svg class="i" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.simple_tag
def state(value: State, patched: bool = False) -> SafeString:
    """A state as shape, colour and word; `patched` ones follow the live stream."""
    return format_html(
        '<span class="st {}"{}>{}</span>',
        value.form,
        SafeString(" data-state-of") if patched else "",
        value.word,
    )


@register.simple_tag
def ago(moment: datetime | None, empty: str = figures.NONE, last: bool = False) -> SafeString | str:
    """A moment, relative under a day, with the exact time on hover; `last` ones follow the live stream."""
    if not moment:  # a missing object's attribute reads as "" in a template
        if not last:
            return empty
        return format_html("<time data-ago data-last>{}</time>", empty)
    return format_html(
        '<time datetime="{}" title="{}" data-ago{}>{}</time>',
        moment.isoformat(),
        figures.exact(moment),
        SafeString(" data-last") if last else "",
        figures.ago(moment),
    )


@register.simple_tag
def moment(value: datetime | None) -> SafeString | str:
    """A moment as day and time, with the seconds on hover."""
    if value is None:
        return figures.NONE
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', value.isoformat(), figures.exact(value), figures.day(value)
    )


@register.simple_tag
def copy(text: str, shown: str = "") -> SafeString:
    """An identifier, monospaced; a click copies it."""
    return format_html(
        '<button type="button" class="copy" data-copy="{}" title="{}">{}</button>', text, _("Copy"), shown or text
    )


@register.simple_tag
def copy_eui(text: str) -> SafeString:
    """An EUI in upper case; a click copies it."""
    return copy(figures.eui(text))


@register.simple_tag
def address(moment: object) -> str:
    """The parts of an address that are there, in one line."""
    parts = (getattr(moment, "street", ""), f"{getattr(moment, 'postcode', '')} {getattr(moment, 'city', '')}".strip())
    return ", ".join(part for part in parts if part)


@register.simple_tag
def role(value: str) -> str:
    """A role in the page's language."""
    return role_name(value)


@register.simple_tag
def bar(counts: Counts) -> SafeString:
    """Heard, silent and never heard as one bar; drawn as attributes, which the content policy allows."""
    total = counts.total
    parts, at = [], 0.0
    for form, n in (("ok", counts.heard), ("bad", counts.silent), ("idle", counts.never)):
        if not n:
            continue
        width = 200 * n / total
        parts.append(
            format_html(
                '<rect class="{}" x="{}" width="{}" height="8"/>', form, f"{at:.2f}", f"{max(1.5, width - 1):.2f}"
            )
        )
        at += width
    words = _("{heard} heard, {silent} silent, {never} never heard").format(
        heard=figures.figure(counts.heard), silent=figures.figure(counts.silent), never=figures.figure(counts.never)
    )
    return format_html(
        '<svg class="bar" viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        words,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


@register.simple_tag(takes_context=True)
def filter_link(context: template.Context, value: str, name: str, count: int | None = None) -> SafeString:
    """One choice of the state filter, keeping the other choices."""
    query = _query(context)
    query.pop("state", None)
    query.pop("refused", None)
    if value:
        query["state"] = value
    return format_html(
        '<a href="?{}"{}>{}{}</a>',
        query.urlencode(),
        SafeString(' aria-current="true"') if context.get("state", "") == value else "",
        name,
        format_html(' <span class="small">{}</span>', figures.figure(count)) if count is not None else "",
    )


@register.simple_tag(takes_context=True)
def sort_link(context: template.Context, key: str, name: str) -> SafeString:
    """A column head that sorts; a second click on the time turns it round."""
    query = _query(context)
    now = context.get("sort", "eui")
    on = now == key or (key == "last" and now == "oldest")
    query["sort"] = "oldest" if key == "last" and now == "last" else key
    arrow = {"last": " ↓", "oldest": " ↑", "eui": " ↓"}.get(str(now), "") if on else ""
    return format_html(
        '<a href="?{}"{}>{}{}</a>', query.urlencode(), SafeString(' class="on"') if on else "", name, arrow
    )


@register.filter
def get(mapping: Mapping[object, object] | None, key: object) -> object | None:
    """The value of a key, None without it."""
    return mapping.get(key) if mapping else None


@register.filter
def rate(dr: int | str | None) -> str:
    """An EU868 data rate as people name it."""
    return figures.rate(dr if isinstance(dr, int) else None)


@register.filter
def mhz(frequency: int) -> str:
    """A frequency in MHz."""
    return f"{figures.figure(frequency / 1e6, 1)} MHz"


@register.filter
def hexadecimal(payload: bytes | memoryview) -> str:
    """Bytes as hex digits."""
    return bytes(payload).hex()


def _query(context: template.Context) -> QueryDict:
    query: QueryDict = context["request"].GET.copy()
    for cursor in ("after", "before", "page"):
        query.pop(cursor, None)
    return query


@register.simple_tag
def exact(value: datetime) -> str:
    """A moment down to the second, for a title."""
    return figures.exact(value)


@register.filter
def key_state(key: DeviceKey) -> State:
    """A key's state."""
    return {
        KeyState.GENERATED: State("idle", _("made, not handed over")),
        KeyState.IMPORTED: State("idle", _("imported")),
        KeyState.DELIVERING: State("warn", _("on its way")),
        KeyState.ACTIVE: State("ok", _("active")),
        KeyState.RETIRING: State("idle", _("retiring")),
        KeyState.REVOKED: State("bad", _("revoked")),
    }.get(KeyState(key.state), State("idle", _("destroyed")))
