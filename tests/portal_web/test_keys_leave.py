"""How keys come and go on the pages: wrapped, revealed with two people, imported from a file, handed over."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member
from provisioning.approvals.models import Approval
from provisioning.approvals.services import approve
from provisioning.audit.models import Entry
from provisioning.campaigns.models import Campaign, LmnHandover
from provisioning.keys.models import DeviceKey, Purpose
from provisioning.keys.vault import Vault
from tests.cast import STAGE
from tests.portal_web.world import World, body, recipient_key

Browse = Callable[[User | None], Client]
NEW = "00112233445566778899aabbccddee%02x"


@pytest.fixture
def custodian(world: World, browse: Browse) -> Client:
    return browse(world.cast.custodian)


@pytest.fixture
def second(world: World) -> User:
    return add_member(STAGE, world.cast.organisation, "second@example.org", Role.CUSTODIAN).user


def text(answer: Any) -> str:
    return body(answer).decode()


def value_of(key: DeviceKey) -> str:
    return Vault.from_settings().open(key).reveal().hex()


def wrap(client: Client, key: DeviceKey, **data: Any) -> Any:
    return client.post(reverse("key-wrap", args=[key.pk]), {"reason": "Gateway", **data})


def try_file(client: Client, content: str, **data: str) -> Any:
    file = SimpleUploadedFile("keys.csv", content.encode())
    return client.post(reverse("key-import"), {"file": file, "do": "try", **data})


def test_a_key_is_wrapped_once_the_fingerprint_was_compared(world: World, custodian: Client) -> None:
    pem = recipient_key()
    first = wrap(custodian, world.key, pem=pem)
    assert "by voice" in text(first)
    done = wrap(custodian, world.key, pem=pem, compared=first.context["compared"])
    assert text(done).startswith("-----BEGIN CMS-----")
    assert "no-store" in done["Cache-Control"]
    assert value_of(world.key) not in text(done)
    assert Entry.objects.filter(action="key.rewrapped").count() == 1


def test_another_public_key_than_the_compared_one_gets_nothing(world: World, custodian: Client) -> None:
    compared = wrap(custodian, world.key, pem=recipient_key()).context["compared"]
    other = wrap(custodian, world.key, pem=recipient_key(), compared=compared)
    assert "BEGIN CMS" not in text(other)
    assert not Entry.objects.filter(action="key.rewrapped").exists()


def test_the_public_key_may_come_as_a_file(world: World, custodian: Client) -> None:
    file = SimpleUploadedFile("recipient.pem", recipient_key().encode())
    assert "by voice" in text(wrap(custodian, world.key, file=file))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Paste the public key"),
        ({"pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, "no public key and no certificate"),
        ({"pem": "x" * 20_000}, "at most 16384 characters"),
        ({"file": SimpleUploadedFile("key.pem", b"\xff\x00" * 9000)}, "at most 16384 characters"),
    ],
)
def test_what_is_no_public_key_is_refused_with_what_to_do(
    data: dict[str, Any], sentence: str, world: World, custodian: Client
) -> None:
    assert sentence in text(wrap(custodian, world.key, **data))


def test_a_key_is_revealed_once_after_a_second_custodian_has_approved(
    world: World, custodian: Client, second: User
) -> None:
    url, value = reverse("key-reveal", args=[world.key.pk]), value_of(world.key)
    custodian.post(url, {"reason": "Meter on the bench"})
    assert "finds your request under Approvals" in text(custodian.get(url))
    assert value not in text(custodian.post(url)).lower().replace(" ", "")
    approve(second, Approval.objects.get())
    assert value not in text(custodian.get(url)).lower().replace(" ", "")
    shown = custodian.post(url)
    assert value in text(shown).lower().replace(" ", "")
    assert "no-store" in shown["Cache-Control"]
    assert re.search(r"<details data-once=\"60\">", text(shown)), "masked until pressed"
    again = custodian.post(url, follow=True)
    assert value not in text(again).lower().replace(" ", "")
    assert Approval.objects.get().state == "used"
    assert value not in json.dumps(list(Entry.objects.values_list("data", flat=True)))


def test_an_approval_of_two_hours_ago_reveals_nothing(
    world: World, custodian: Client, second: User, browse: Browse
) -> None:
    url = reverse("key-reveal", args=[world.key.pk])
    custodian.post(url, {"reason": "Meter on the bench"})
    approve(second, Approval.objects.get())
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        late = browse(world.cast.custodian).post(url)
        assert value_of(world.key) not in text(late).lower().replace(" ", "")
        assert "lapsed" in text(late)


def test_nobody_asks_without_a_reason(world: World, custodian: Client) -> None:
    answer = custodian.post(reverse("key-reveal", args=[world.key.pk]), {"reason": " "})
    assert "This field is required" in text(answer)
    assert not Approval.objects.exists()


def test_a_file_is_tried_row_by_row_before_it_is_imported(world: World, custodian: Client) -> None:
    eui = world.adapter.dev_eui
    content = f"dev_eui,purpose,key,partner\n{eui},meter,{NEW % 1},input 0\n{eui},meter,nonsense,input 1\n"
    before = DeviceKey.objects.count()
    tried = try_file(custodian, content)
    assert [row["line"] for row in tried.context["rows"]] == [2, 3]
    assert (tried.context["taken"], tried.context["bad"]) == (1, 1)
    assert DeviceKey.objects.count() == before, "a dry run"
    assert not Entry.objects.filter(action="key.file_imported").exists()
    digest = tried.context["digest"]
    done = try_file(custodian, content, do="import", tried=digest, skip_bad="on")
    assert "1 key imported" in text(done)
    assert NEW % 1 not in text(done)
    assert DeviceKey.objects.filter(purpose=Purpose.METER).count() == 1


def test_one_bad_row_and_nothing_is_imported(world: World, custodian: Client) -> None:
    eui = world.adapter.dev_eui
    content = f"dev_eui,purpose,key,partner\n{eui},meter,{NEW % 1},input 0\n{eui},what,{NEW % 2},\n"
    digest = try_file(custodian, content).context["digest"]
    try_file(custodian, content, do="import", tried=digest)
    assert not DeviceKey.objects.filter(purpose=Purpose.METER).exists()


def test_another_file_than_the_tried_one_is_tried_first(world: World, custodian: Client) -> None:
    head, eui = "dev_eui,purpose,key,partner\n", world.adapter.dev_eui
    digest = try_file(custodian, f"{head}{eui},meter,{NEW % 1},input 0\n").context["digest"]
    other = try_file(custodian, f"{head}{eui},meter,{NEW % 2},input 0\n", do="import", tried=digest)
    assert "not the file that was tried" in text(other)
    assert not DeviceKey.objects.filter(purpose=Purpose.METER).exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "The first line names the columns"),
        ("dev_eui,purpose,key\n", "There is no key in this file"),
        ("{", "it may have been cut off"),
        ("x" * 2_000_001, "too large"),
    ],
)
def test_what_is_no_key_file_is_refused(content: str, sentence: str, world: World, custodian: Client) -> None:
    assert sentence in text(try_file(custodian, content))


def test_lmn_keys_go_to_the_gateway_and_then_to_their_adapters(world: World, custodian: Client) -> None:
    row = world.handover
    file = reverse("handover-file", args=[row.pk])
    assert "say that you did" in text(custodian.post(file, follow=True))
    made = custodian.post(file, {"compared": "yes"})
    assert text(made).startswith("-----BEGIN CMS-----")
    assert "no-store" in made["Cache-Control"]
    assert text(custodian.post(file)) == text(made), "the same once more"
    acknowledge = reverse("handover-acknowledge", args=[row.pk])
    assert "This field is required" in text(custodian.post(acknowledge, {"reason": "", "per_hour": "60"}))
    assert "go out to their adapters" in text(
        custodian.post(acknowledge, {"reason": "Mail of today", "per_hour": "60"}, follow=True)
    )
    assert LmnHandover.objects.get().acknowledged_at is not None
    assert Campaign.objects.get().purpose == Purpose.LMN


def test_a_hand_over_is_prepared_from_keys_that_nobody_uses(world: World, custodian: Client) -> None:
    new = reverse("handover-new")
    assert "No LMN key waits" in text(custodian.get(new))
    key = world.handover.keys.get()
    assert "No LMN key waits" in text(custodian.get(new)), "it is in an open hand-over"
    custodian.post(reverse("handover-withdraw", args=[world.handover.pk]), {"reason": "Wrong recipient"})
    form = {"name": "Gateway", "pem": recipient_key(), "keys": [key.pk], "reason": "New meter"}
    assert "Paste the public key" in text(custodian.post(new, {**form, "pem": ""}))
    page = text(custodian.post(new, form, follow=True))
    assert "LMN keys for Gateway" in page
    assert "file not made yet" in page


def test_new_lmn_keys_are_made_for_a_site_once_and_wait_for_their_hand_over(world: World, custodian: Client) -> None:
    data = {"site": world.site.pk}
    before = DeviceKey.objects.filter(purpose=Purpose.LMN).count()
    page = text(custodian.post(reverse("lmn-keys-new"), data, follow=True))
    made = DeviceKey.objects.filter(purpose=Purpose.LMN).count() - before
    assert made
    assert f"{made} new LMN key" in page
    assert "Prepare a hand-over" in page

    again = text(custodian.post(reverse("lmn-keys-new"), data))
    assert "No adapter there needs a new LMN key" in again
    assert DeviceKey.objects.filter(purpose=Purpose.LMN).count() == before + made
