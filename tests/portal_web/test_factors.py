"""Second factors on the pages: logging in with them, being led to set one up, being asked again, and the set-up."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.web import throttle
from provisioning.accounts import passkeys
from provisioning.accounts.factor_changes import add_app, new_app_secret, renew_codes
from provisioning.accounts.factors import Kind, kinds_of
from provisioning.accounts.models import ApiToken, Role, User
from provisioning.accounts.services import add_member
from provisioning.audit.models import Entry
from tests.cast import STAGE, Cast
from tests.portal_web.world import World
from tests.support.app_codes import shown_by_app
from tests.support.passkey import SoftPasskey, give_passkey, show

Browse = Callable[[User | None], Client]
PASSWORD = "a long and quiet password"
HALF_A_MINUTE = timedelta(seconds=30)


@pytest.fixture
def erika(cast: Cast) -> User:
    return add_member(STAGE, cast.organisation, "erika@example.org", Role.OPERATOR, password=PASSWORD).user


@pytest.fixture
def keeper(cast: Cast) -> User:
    """A custodian who has set nothing up yet."""
    return add_member(STAGE, cast.organisation, "keeper@example.org", Role.CUSTODIAN, password=PASSWORD).user


def app_of(user: User) -> str:
    """The secret of an app that was set up two minutes ago."""
    secret, then = new_app_secret(), timezone.now() - 4 * HALF_A_MINUTE
    add_app(user, secret, shown_by_app(secret, then), then)
    return secret


def type_password(client: Client, user: User, target: str = "/") -> Any:
    return client.post(reverse("login"), {"email": user.email, "password": PASSWORD, "next": target})


def type_code(client: Client, code: str) -> Any:
    return client.post(reverse("login-factor"), {"code": code})


def enters(client: Client) -> bool:
    return bool(client.get(reverse("sites")).status_code == 200)


def text(answer: Any) -> str:
    return str(answer.content.decode())


class TestLoggingIn:
    def test_the_password_alone_opens_nothing_for_who_has_a_factor(self, erika: User, browse: Browse) -> None:
        app_of(erika)
        client = browse(None)
        assert type_password(client, erika).headers["Location"] == reverse("login-factor")
        assert not enters(client)
        assert "erika@example.org" in text(client.get(reverse("login-factor")))

    def test_a_code_of_the_app_completes_it_and_leads_on(self, erika: User, browse: Browse) -> None:
        secret = app_of(erika)
        client = browse(None)
        type_password(client, erika, "/adapters/?state=silent")
        answer = type_code(client, shown_by_app(secret, timezone.now()))
        assert answer.headers["Location"] == "/adapters/?state=silent"
        assert enters(client)

    def test_a_recovery_code_completes_it_once(self, erika: User, browse: Browse) -> None:
        app_of(erika)
        code = renew_codes(erika)[0]
        for entered in (True, False):
            client = browse(None)
            type_password(client, erika)
            type_code(client, code)
            assert enters(client) is entered

    def test_a_passkey_completes_it(self, erika: User, browse: Browse) -> None:
        device = give_passkey(erika)
        client = browse(None)
        type_password(client, erika)
        question = client.get(reverse("login-factor")).context["question"]
        client.post(reverse("login-factor"), {"credential": device.get(question)})
        assert enters(client)

    def test_a_passkey_alone_is_enough(self, erika: User, browse: Browse) -> None:
        device = give_passkey(erika)
        client = browse(None)
        question = client.post(reverse("login-question")).json()
        assert question["publicKey"].get("allowCredentials", []) == []
        data = {"credential": device.get(question), "next": "/sites/"}
        assert client.post(reverse("login-passkey"), data).headers["Location"] == "/sites/"
        assert enters(client)

    def test_an_answer_is_taken_once_and_only_by_the_browser_that_asked(self, erika: User, browse: Browse) -> None:
        device = give_passkey(erika)
        client, other = browse(None), browse(None)
        credential = device.get(client.post(reverse("login-question")).json())
        other.post(reverse("login-passkey"), {"credential": credential})
        assert not enters(other)
        client.post(reverse("login-passkey"), {"credential": credential})
        assert enters(client)
        client.post(reverse("logout"))
        client.post(reverse("login-passkey"), {"credential": credential})
        assert not enters(client)

    def test_a_blocked_person_does_not_enter_with_a_passkey(self, erika: User, browse: Browse) -> None:
        device = give_passkey(erika)
        User.objects.filter(pk=erika.pk).update(is_active=False)
        client = browse(None)
        client.post(reverse("login-passkey"), {"credential": device.get(client.post(reverse("login-question")).json())})
        assert not enters(client)

    @pytest.mark.parametrize("credential", ["", "x", "[]", "{}", "9" * 30_000, '{"response":{"userHandle":"MQ"}}'])
    def test_whatever_is_sent_instead_of_a_passkey_is_told_alike(self, credential: str, browse: Browse) -> None:
        client = browse(None)
        client.post(reverse("login-question"))
        answer = client.post(reverse("login-passkey"), {"credential": credential}, follow=True)
        assert "The passkey was not accepted" in text(answer)

    def test_the_second_step_waits_ten_minutes_and_not_for_a_changed_password(
        self, erika: User, browse: Browse
    ) -> None:
        secret = app_of(erika)
        client = browse(None)
        with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=False) as clock:
            clock.shift(-timedelta(minutes=11))
            type_password(client, erika)
            clock.shift(timedelta(minutes=11))
            assert "Begin again" in text(client.get(reverse("login-factor"), follow=True))
        type_password(client, erika)
        erika.set_password("another quite long password")
        erika.save()
        type_code(client, shown_by_app(secret, timezone.now()))
        assert not enters(client)

    def test_nobody_begins_with_the_second_step(self, browse: Browse) -> None:
        assert "Begin again" in text(browse(None).get(reverse("login-factor"), follow=True))

    def test_guessing_codes_is_slowed_down_and_a_right_password_forgives_nothing(
        self, erika: User, browse: Browse
    ) -> None:
        secret = app_of(erika)
        client = browse(None)
        for _ in range(throttle.MAX_PER_ACCOUNT):
            type_password(client, erika)
            assert "does not fit" in text(type_code(client, "000000"))
        type_password(client, erika)
        answer = type_code(client, shown_by_app(secret, timezone.now()))
        assert answer.status_code == 429
        assert "Wait five minutes" in text(answer)

    def test_guessing_recovery_codes_is_slowed_down_although_the_app_cannot_be_opened(
        self, erika: User, browse: Browse
    ) -> None:
        app_of(erika)
        codes = renew_codes(erika)
        Authenticator.objects.filter(type=Authenticator.Type.TOTP).update(data={"secret": "9:gone", "counter": 0})
        client = browse(None)
        for _ in range(throttle.MAX_PER_ACCOUNT):
            type_password(client, erika)
            assert "cannot be opened any more" in text(type_code(client, "000000"))
        type_password(client, erika)
        assert type_code(client, codes[0]).status_code == 429

    def test_no_stranger_closes_somebody_s_account_by_naming_it(self, erika: User, browse: Browse) -> None:
        secret = app_of(erika)
        stranger = SoftPasskey(handle=give_passkey(erika).handle)
        for _ in range(throttle.MAX_PER_ACCOUNT + 1):
            client = browse(None)
            sent = stranger.get(client.post(reverse("login-question")).json())
            answer = client.post(reverse("login-passkey"), {"credential": sent}, follow=True)
        assert "Too many attempts" in text(answer)
        client = browse(None)
        type_password(client, erika)
        type_code(client, shown_by_app(secret, timezone.now()))
        assert enters(client)

    def test_challenges_are_not_handed_out_without_end(self, browse: Browse) -> None:
        client = browse(None)
        statuses = [client.post(reverse("login-question")).status_code for _ in range(throttle.MAX_QUESTIONS + 1)]
        assert statuses == [200] * throttle.MAX_QUESTIONS + [429]

    def test_looking_at_the_login_page_leaves_no_session_behind(self, browse: Browse) -> None:
        assert "sessionid" not in browse(None).get(reverse("login")).cookies


class TestBeingLed:
    def test_a_custodian_without_a_passkey_reaches_nothing_but_its_set_up(
        self, keeper: User, world: World, browse: Browse
    ) -> None:
        client = browse(None)
        type_password(client, keeper)
        for name in ("overview", "adapters", "audit", "tokens", "account", "organisations", "live", "approvals"):
            assert client.get(reverse(name)).headers.get("Location") == reverse("account-factors"), name
        page = client.get(reverse("account-factors"))
        assert "Key custodians need a passkey" in text(page)
        for name in ("factor-passkey-new", "factor-app-new"):
            assert client.get(reverse(name)).status_code == 200, name
        assert client.post(reverse("language"), {"language": "en"}).status_code == 302
        assert client.post(reverse("logout")).headers["Location"] == reverse("login")

    def test_a_script_and_a_part_of_a_page_are_told_instead_of_led(self, keeper: User, browse: Browse) -> None:
        client = browse(None)
        type_password(client, keeper)
        told = client.get("/api/v1/sites/")
        assert (told.status_code, told.json()["code"]) == (403, "second_factor")
        part = client.get(reverse("adapters"), headers={"hx-request": "true"})
        assert (part.status_code, part.headers["HX-Redirect"]) == (401, reverse("account-factors"))

    def test_an_app_does_not_replace_the_passkey_of_a_custodian(self, keeper: User, browse: Browse) -> None:
        secret = app_of(keeper)
        client = browse(None)
        type_password(client, keeper)
        type_code(client, shown_by_app(secret, timezone.now()))
        assert client.get("/").headers["Location"] == reverse("account-factors")

    def test_with_a_passkey_everything_else_is_open(self, keeper: User, browse: Browse) -> None:
        client = browse(None)
        type_password(client, keeper)
        creation = client.get(reverse("factor-passkey-new")).context["creation"]
        data = {"name": "laptop", "credential": SoftPasskey().create(creation)}
        assert client.post(reverse("factor-passkey-new"), data).headers["Location"] == reverse("factor-codes")
        assert enters(client)
        assert kinds_of(keeper) == {Kind.PASSKEY}

    def test_a_session_from_before_shows_the_passkey_first(self, keeper: User, browse: Browse) -> None:
        give_passkey(keeper)
        client = browse(None)
        client.force_login(keeper)
        assert client.get("/sites/").headers["Location"] == f"{reverse('factor-verify')}?next=%2Fsites%2F"

    def test_custodian_in_one_organisation_is_custodian_enough(self, erika: User, cast: Cast, browse: Browse) -> None:
        add_member(STAGE, cast.away.organisation, erika.email, Role.CUSTODIAN)
        assert browse(None).get("/").status_code == 302
        client = browse(None)
        type_password(client, erika)
        assert client.get("/").headers["Location"] == reverse("account-factors")

    @pytest.mark.parametrize(("role", "led"), [(Role.ADMINISTRATOR, True), (Role.OPERATOR, False)])
    def test_administrators_are_led_where_it_is_set_so(
        self, role: str, led: bool, cast: Cast, browse: Browse, settings: Any
    ) -> None:
        client = browse(cast.home.people[role])
        assert enters(client)
        settings.DEMAND_SECOND_FACTOR = True
        assert enters(client) is not led


class TestBeingAskedAgain:
    def aged(self, client: Client, minutes: float) -> None:
        session = client.session
        session["factor"] = {kind: at - minutes * 60 for kind, at in session["factor"].items()}
        session.save()

    def test_a_passkey_holds_for_five_minutes(self, world: World, browse: Browse) -> None:
        client = browse(world.cast.custodian)
        page = reverse("approval", args=[world.approval.pk])
        self.aged(client, 4.9)
        assert client.get(page).status_code == 200
        self.aged(client, 0.2)
        assert client.get(page).headers["Location"].startswith(reverse("factor-verify"))

    def test_it_leads_back_to_where_one_was(self, world: World, browse: Browse) -> None:
        Authenticator.objects.filter(user=world.cast.custodian).delete()
        device = give_passkey(world.cast.custodian)
        client = browse(world.cast.custodian)
        self.aged(client, 6)
        page = reverse("approval", args=[world.approval.pk])
        asked = client.get(page).headers["Location"]
        question = client.get(asked).context["question"]
        assert client.post(asked, {"credential": device.get(question)}).headers["Location"] == page
        assert client.get(page).status_code == 200

    def test_what_was_about_to_be_sent_is_not_sent(self, world: World, browse: Browse) -> None:
        device = give_passkey(world.cast.custodian)
        client = browse(world.cast.custodian)
        self.aged(client, 6)
        page = reverse("approval", args=[world.approval.pk])
        from_page = {"referer": f"http://testserver{page}"}
        asked = client.post(page, {"decision": "approve"}, headers=from_page).headers["Location"]
        shown = client.get(asked)
        assert "Nothing was sent yet" in text(shown)
        assert "Passkey lost?" in text(shown)
        back = client.post(asked, {"credential": device.get(shown.context["question"])}, follow=True)
        assert back.redirect_chain == [(page, 302)]
        assert "decide once more" in text(back)
        world.approval.refresh_from_db()
        assert world.approval.state == "pending"

    @pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
    def test_it_leads_to_no_other_site(self, target: str, erika: User, browse: Browse) -> None:
        client = browse(erika)
        answer = client.post(f"{reverse('factor-verify')}?next={target}", {"password": PASSWORD})
        assert answer.headers["Location"] == "/"

    def test_a_referer_from_elsewhere_leads_nowhere_else(self, world: World, browse: Browse) -> None:
        client = browse(world.cast.custodian)
        self.aged(client, 6)
        page = reverse("approval", args=[world.approval.pk])
        answer = client.post(page, {}, headers={"referer": "https://evil.example/x"})
        assert "evil" not in answer.headers["Location"]

    def test_a_code_is_too_little_for_a_custodian(self, world: World, browse: Browse) -> None:
        client = browse(world.cast.custodian)
        self.aged(client, 6)
        show(client, Kind.APP)
        answer = client.get(reverse("approval", args=[world.approval.pk]))
        assert answer.headers["Location"].startswith(reverse("factor-verify"))

    def test_guessing_the_password_again_is_slowed_down(self, erika: User, browse: Browse) -> None:
        client = browse(erika)
        for _ in range(throttle.MAX_PER_ACCOUNT):
            assert client.post(reverse("factor-verify"), {"password": "wrong"}).status_code == 200
        assert client.post(reverse("factor-verify"), {"password": PASSWORD}).status_code == 429

    def test_a_token_of_a_custodian_is_made_with_a_fresh_passkey_only(self, world: World, browse: Browse) -> None:
        client = browse(world.cast.custodian)
        data = {"name": "stock list", "role": "custodian", "lifetime": "30"}
        self.aged(client, 6)
        assert client.post(reverse("tokens"), data).headers["Location"].startswith(reverse("factor-verify"))
        assert not ApiToken.objects.filter(user=world.cast.custodian).exists()
        show(client, Kind.PASSKEY)
        assert "mspan_" in text(client.post(reverse("tokens"), data))


class TestSettingUp:
    def test_an_app_is_set_up_with_the_code_that_it_shows(self, erika: User, browse: Browse) -> None:
        client = browse(erika)
        page = client.get(reverse("factor-app-new"))
        secret = page.context["secret"].replace(" ", "")
        assert "<svg" in text(page)
        assert secret not in str(dict(client.session)), "the session keeps it sealed"
        assert "does not fit" in text(client.post(reverse("factor-app-new"), {"code": "000000"}))
        done = client.post(reverse("factor-app-new"), {"code": shown_by_app(secret, timezone.now())})
        assert done.headers["Location"] == reverse("factor-codes")
        assert kinds_of(erika) == {Kind.APP}

    def test_recovery_codes_are_shown_once_and_can_be_downloaded(self, erika: User, browse: Browse) -> None:
        app_of(erika)
        client = browse(erika)
        show(client, Kind.APP)
        made = client.post(reverse("factor-codes"))
        codes = re.findall(r"<li>(\d{8})</li>", text(made))
        assert len(codes) == 10
        assert f'href="data:text/plain;charset=utf-8,{"%0A".join(codes)}%0A"' in text(made)
        assert "no-store" in made.headers["Cache-Control"]
        later = text(client.get(reverse("factor-codes"))) + text(client.get(reverse("account-factors")))
        assert not [code for code in codes if code in later]
        assert "10 codes left" in later

    def test_who_lost_the_passkey_replaces_it_after_a_recovery_code(self, keeper: User, browse: Browse) -> None:
        give_passkey(keeper, "drowned phone")
        code = renew_codes(keeper)[0]
        client = browse(None)
        type_password(client, keeper)
        type_code(client, code)
        creation = client.get(reverse("factor-passkey-new")).context["creation"]
        data = {"name": "new phone", "credential": SoftPasskey().create(creation)}
        client.post(reverse("factor-passkey-new"), data)
        lost = Authenticator.objects.get(data__name="drowned phone")
        client.post(reverse("factor-remove", args=[lost.pk]))
        assert [row.data["name"] for row in passkeys.passkeys_of(keeper)] == ["new phone"]
        actions = list(Entry.objects.filter(actor=keeper).values_list("action", flat=True))
        assert actions[-3:] == ["factor.recovery_used", "factor.added", "factor.removed"]

    def test_a_session_left_open_changes_no_factor(self, erika: User, browse: Browse) -> None:
        give_passkey(erika)
        row = Authenticator.objects.get()
        client = browse(erika)
        for name, arguments in (("factor-passkey-new", []), ("factor-app-new", []), ("factor-codes", [])):
            assert client.get(reverse(name, args=arguments)).headers["Location"].startswith(reverse("factor-verify"))
        client.post(reverse("factor-remove", args=[row.pk]))
        assert Authenticator.objects.filter(pk=row.pk).exists()

    def test_the_last_passkey_of_a_custodian_stays(self, cast: Cast, browse: Browse) -> None:
        client = browse(cast.custodian)
        row = Authenticator.objects.get(user=cast.custodian)
        answer = client.post(reverse("factor-remove", args=[row.pk]), follow=True)
        assert "keep at least one passkey" in text(answer)

    def test_somebody_else_s_factor_is_not_there(self, cast: Cast, erika: User, browse: Browse) -> None:
        give_passkey(erika)
        row = Authenticator.objects.get(user=erika)
        assert browse(cast.custodian).get(reverse("factor-remove", args=[row.pk])).status_code == 404
