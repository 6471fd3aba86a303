"""What the two people of a ceremony state: asked one by one, or read from a file."""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from provisioning.errors import Invalid
from provisioning.keys.kek import FILE, PKCS11

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
MAX_ITEMS: Final = 20


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is present and signs."""

    name: Text
    role: Text


class Custody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where something goes that opens the key: a copy, a share, a PIN."""

    item: Text
    holder: Text
    place: Text
    envelope: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`provider` is `file` or `pkcs11`, `entropy` names the source of randomness in words."""

    installation: Text
    purpose: Text
    place: Text
    leader: Person
    witness: Person
    provider: Text
    entropy: Text
    custody: Annotated[list[Custody], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]
    remarks: Annotated[str, msgspec.Meta(max_length=1000)] = ""


def read(content: bytes) -> Answers:
    """Answers as JSON. Invalid("answers", …) naming what is wrong, also when one person would be both."""
    try:
        return checked(msgspec.json.decode(content, type=Answers))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("answers", f"The answers cannot be used: {error}.") from None


def checked(answers: Answers) -> Answers:
    """The same answers. Invalid when they contradict the rules of a ceremony."""
    if answers.leader.name.strip().casefold() == answers.witness.name.strip().casefold():
        raise Invalid("answers", "A ceremony needs two people; leader and witness are the same.")
    if answers.provider not in (FILE, PKCS11):
        raise Invalid("answers", f"The provider is {answers.provider!r}; it can be {FILE} or {PKCS11}.")
    return answers


def asked(ask: Callable[[str, str], str], example: Answers) -> Answers:
    """The answers of `ask(question, proposal)`; `example` holds the proposals. Invalid as in `checked`."""
    facts = {
        "installation": ask("Installation", example.installation),
        "purpose": ask("Purpose of the key", example.purpose),
        "place": ask("Place of the ceremony", example.place),
        "leader": _person(ask, "Leader", example.leader),
        "witness": _person(ask, "Witness", example.witness),
        "provider": ask(f"Provider ({FILE} or {PKCS11})", example.provider),
        "entropy": ask("Source of randomness", example.entropy),
    }
    custody = []
    for number, item in enumerate([*example.custody, *[None] * (MAX_ITEMS - len(example.custody))], 1):
        name = ask(f"Copy, share or PIN no. {number} (a hyphen ends the list)", "-" if item is None else item.item)
        if name == "-":
            break
        proposal = item or Custody("-", "-", "-")
        custody.append(
            {
                "item": name,
                "holder": ask("  goes to", proposal.holder),
                "place": ask("  is kept at", proposal.place),
                "envelope": ask("  envelope or seal number", proposal.envelope),
            }
        )
    return read(msgspec.json.encode({**facts, "custody": custody, "remarks": ask("Remarks", example.remarks)}))


def example(provider: str, *, test: bool) -> Answers:
    """Proposals; those of a rehearsal are complete, so that it runs by itself."""
    label = "TEST " if test else ""
    entropy = "random number generator of the token" if provider == PKCS11 else "operating system (getrandom)"
    item = "PIN of the token" if provider == PKCS11 else "copy of the key file"
    return Answers(
        installation=f"{label}Meterspan",
        purpose=f"{label}key-encryption key",
        place=f"{label}room",
        leader=Person(f"{label}Leader", "key custodian"),
        witness=Person(f"{label}Witness", "auditor"),
        provider=provider,
        entropy=entropy,
        custody=[Custody(item, f"{label}Leader", f"{label}safe", f"{label}1")],
    )


def _person(ask: Callable[[str, str], str], who: str, proposal: Person) -> dict[str, str]:
    return {"name": ask(f"{who}, name", proposal.name), "role": ask(f"{who}, role", proposal.role)}
