"""Labels in the browser: choosing, printing, showing, renewing; nothing secret in an address or a cache."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import zxingcpp
from django.test import Client
from django.urls import reverse

from meterwire import label as tr005
from meterwire import ndef
from portal.web import labels
from provisioning.accounts.models import Role, User
from provisioning.audit.models import Entry
from provisioning.audit.services import audited
from provisioning.batches import services as batches
from provisioning.fleet.models import Adapter
from provisioning.labels.models import OwnerToken
from provisioning.labels.queries import current_token
from provisioning.labels.services import consume, matches, open_label
from tests.cast import JOIN_EUI, STAGE
from tests.portal_web.world import World
from tests.support.pictures import of_pdf, of_svg

Browse = Callable[[User | None], Client]
LIST = "/labels/"


@pytest.fixture
def client(world: World, browse: Browse) -> Client:
    return browse(world.cast.operator)


def used(adapter: Adapter) -> None:
    open_label(STAGE, adapter)
    with audited(adapter.organisation):
        consume(STAGE, adapter)


def read(pdf: bytes, page: int = 0, size: tuple[float, float] = (210, 297)) -> list[str]:
    picture = of_pdf(pdf, page, size, 14)
    return sorted(found.text for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode))


def named(texts: list[str]) -> list[str]:
    return [str(tr005.parse(text).dev_eui) for text in texts]


def test_ticked_labels_come_as_a_sheet_that_a_foreign_reader_reads(world: World, client: Client) -> None:
    second = world.cast.adapter(world.site)
    data = {"which": "rows", "adapter": [world.adapter.pk, second.pk], "format": "sheet", "first": "23"}
    answer = client.post(LIST, data)

    assert answer["Content-Type"] == "application/pdf"
    assert "no-store" in answer["Cache-Control"]
    assert re.search(r'filename="meterspan-labels-\d{4}-\d\d-\d\d\.pdf"', answer["Content-Disposition"])
    texts = read(answer.content)
    assert sorted(named(texts)) == sorted([world.adapter.dev_eui, second.dev_eui])
    tokens = [str(tr005.parse(text).owner_token) for text in texts]
    assert all(str(entry.data).find(token) < 0 for entry in Entry.objects.all() for token in tokens)


def test_all_that_fit_the_filters_are_printed(world: World, client: Client) -> None:
    elsewhere = world.cast.adapter()
    new = world.cast.adapter(world.site)
    open_label(STAGE, world.adapter)

    answer = client.post(f"{LIST}?site={world.site.pk}&state=unprinted", {"which": "found", "format": "zpl"})

    zpl = answer.content.decode()
    assert zpl.count("^XA") == 1
    assert new.dev_eui.upper() in zpl
    assert elsewhere.dev_eui.upper() not in zpl
    assert "no-store" in answer["Cache-Control"]


def test_pasted_numbers_are_printed_in_their_order_once(world: World, client: Client) -> None:
    second = world.cast.adapter()
    pasted = f"{second.dev_eui.upper()}\n{world.adapter.dev_eui}, {second.dev_eui};"
    answer = client.post(LIST, {"which": "pasted", "pasted": pasted, "format": "roll"})

    pages = [named(read(answer.content, page, (50, 30))) for page in (0, 1)]
    assert pages == [[second.dev_eui], [world.adapter.dev_eui]]


@pytest.mark.parametrize(
    "data, words",
    [
        ({"which": "rows"}, "Choose at least one adapter"),
        ({"which": "rows", "adapter": ["x", "-1", "9" * 30]}, "Choose at least one adapter"),
        ({"which": "pasted", "pasted": "70b3d57ed0061"}, "“70b3d57ed0061” is no DevEUI"),
        ({"which": "pasted", "pasted": "<script>alert(1)</script>"}, "is no DevEUI"),
        ({"which": "pasted", "pasted": "70b3d57ed0ffffff"}, "There is no adapter 70B3D57ED0FFFFFF"),
        ({"which": "pasted", "pasted": "1 " * 15_000}, "list is too long"),
        ({"which": "found", "stock": "A0"}, "Unknown label sheet"),
        ({"which": "found", "first": "25"}, "positions 1 to 24"),
        ({"which": "found", "first": "-1"}, "positions 1 to 24"),
    ],
)
def test_a_wrong_choice_is_named_and_nothing_is_made(
    world: World, client: Client, data: dict[str, Any], words: str
) -> None:
    answer = client.post(LIST, data)

    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert "<script>alert" not in answer.content.decode()
    assert not OwnerToken.objects.exists()


def test_more_labels_than_one_print_allows_are_refused(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cast.adapter()
    monkeypatch.setattr(labels, "MAX_LABELS", 1)

    assert "At most 1 labels" in client.post(LIST, {"which": "found"}).content.decode()
    assert "more than 1, narrow them" in client.get(LIST).content.decode()


def test_another_organisations_adapters_are_neither_listed_nor_printed(world: World, browse: Browse) -> None:
    client = browse(world.cast.outsider)
    data = {"which": "rows", "adapter": [world.adapter.pk]}

    assert "Choose at least one adapter" in client.post(LIST, data).content.decode()
    pasted = client.post(LIST, {"which": "pasted", "pasted": world.adapter.dev_eui}).content.decode()
    assert f"There is no adapter {world.adapter.dev_eui.upper()}" in pasted, "the same words as for an unknown one"
    for name in ("label", "label-file", "label-new"):
        assert client.post(reverse(name, args=[world.adapter.pk])).status_code == 404
    assert not OwnerToken.objects.exists()


@pytest.mark.parametrize("role", [Role.INSTALLER, Role.VIEWER, Role.AUDITOR])
def test_who_may_not_print_labels_gets_none(world: World, browse: Browse, role: str) -> None:
    client = browse(world.cast.home.people[role])
    for url in (LIST, *(reverse(name, args=[world.adapter.pk]) for name in ("label", "label-file", "label-new"))):
        assert client.post(url, {"which": "found"}).status_code == 403
    assert "/label" not in client.get(reverse("adapter", args=[world.adapter.pk])).content.decode()


def test_looking_at_a_label_makes_and_shows_nothing(world: World, client: Client) -> None:
    answer = client.get(reverse("label", args=[world.adapter.pk]))

    assert "LW:D0" not in answer.content.decode()
    assert "Make the label" in answer.content.decode()
    assert not OwnerToken.objects.exists()


def test_the_shown_code_is_read_and_its_text_can_be_copied(world: World, client: Client) -> None:
    answer = client.post(reverse("label", args=[world.adapter.pk]))
    page = answer.content.decode()
    svg = page[page.index("<svg xmlns") :]
    svg = svg[: svg.index("</svg>") + 6]

    text = zxingcpp.read_barcodes(of_svg(svg, 8))[0].text
    token = tr005.parse(text).owner_token

    assert "no-store" in answer["Cache-Control"]
    assert f'data-copy="{text}"' in page
    assert ndef.encode(text).hex() in page
    assert token is not None
    assert matches(world.adapter, token)


@pytest.mark.parametrize(
    "form, begins", [("pdf", b"%PDF"), ("svg", b"<svg"), ("zpl", b"^XA"), ("ndef", b"\xd1"), ("exe", b"%PDF")]
)
def test_one_label_comes_as_a_file(world: World, client: Client, form: str, begins: bytes) -> None:
    answer = client.post(reverse("label-file", args=[world.adapter.pk]), {"format": form})

    assert answer.content.startswith(begins)
    assert "no-store" in answer["Cache-Control"]
    assert world.adapter.dev_eui in answer["Content-Disposition"]


def test_a_used_label_is_not_shown_again_and_a_new_one_says_what_ends(world: World, client: Client) -> None:
    adapter = world.adapter
    used(adapter)
    url = reverse("label", args=[adapter.pk])

    answer = client.post(url)
    assert answer.status_code == 409
    assert "LW:D0" not in answer.content.decode()
    assert client.post(reverse("label-file", args=[adapter.pk])).status_code == 302
    assert "was used for pairing" in client.post(LIST, {"which": "found"}).content.decode()
    new = reverse("label-new", args=[adapter.pk])
    assert "paired once more" in client.get(new).content.decode()
    assert "stays as it is" in client.get(new).content.decode(), "the pairing"
    assert client.post(new).status_code == 302
    assert current_token(adapter).state == "new"  # type: ignore[union-attr]
    assert "All printed copies become worthless" in client.get(new).content.decode()
    assert "LW:D0" in client.post(url).content.decode()


def test_a_web_worker_without_a_vault_says_what_to_start(world: World, client: Client, settings: Any) -> None:
    open_label(STAGE, world.adapter)
    settings.KEK_FILE, settings.VAULT_SOCKET = "", "nowhere.sock"

    answer = client.post(reverse("label", args=[world.adapter.pk]))

    assert answer.status_code == 409
    assert "run_vault" in answer.content.decode()


def test_the_adapter_page_leads_to_its_label(world: World, client: Client) -> None:
    page = client.get(reverse("adapter", args=[world.adapter.pk])).content.decode()
    assert reverse("label", args=[world.adapter.pk]) in page


def test_a_list_without_adapters_says_how_to_begin(world: World, browse: Browse) -> None:
    assert "No adapters yet" in browse(world.cast.outsider).get(LIST).content.decode()
    nothing = browse(world.cast.operator).get(f"{LIST}?q=nobody-has-this").content.decode()
    assert "No adapter fits these choices" in nothing


def test_the_labels_of_a_batch_are_offered_and_chosen(world: World, client: Client) -> None:
    made = batches.create_series(
        world.cast.operator, world.cast.organisation, first_dev_eui="70B3D57ED4000010", count=2, join_eui=JOIN_EUI
    )
    batch = batches.run(batches.start(world.cast.operator, made, ""))
    url = f"{LIST}?batch={batch.pk}"

    assert url in client.get(reverse("batch", args=[batch.pk])).content.decode()
    zpl = client.post(url, {"which": "found", "format": "zpl"}).content.decode()
    assert re.findall(r"70B3D57ED40000\d\d(?=:)", zpl) == ["70B3D57ED4000010", "70B3D57ED4000011"]
    assert "All batches" in client.get(LIST).content.decode()
