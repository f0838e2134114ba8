"""Repairs as code: what the project file says of remedies and repairs, checked against the remedies that there are."""

from __future__ import annotations

from collections.abc import Mapping

from rowcall.errors import Fault, MappingError, UsageError
from rowcall.mapping.model import Loc
from rowcall.mapping.model import Mapping as Project
from rowcall.mapping.words import instead
from rowcall.repair.effect import Request
from rowcall.repair.remedy import Remedy
from rowcall.rows import Reason


def planned(project: Project, remedies: Mapping[str, Remedy]) -> tuple[Request, ...]:
    """The repairs that the project file has `run` apply. Raises MappingError with every fault of its sections about remedies."""
    faults = [
        fault
        for cause, given in project.remedies.items()
        for name, settings in given.items()
        if (fault := _fault(project, remedies, cause, name, settings, ("remedies", cause, name), whole=False))
    ]
    requests = []
    for place, repair in enumerate(project.repairs):
        given = with_defaults(project, repair.cause, repair.remedy, repair.settings)
        if repair.reason:
            given |= {"reason": repair.reason} if _takes(remedies, repair.remedy, "reason") else {}
        loc: Loc = ("repairs", place, "remedy")
        if fault := _fault(project, remedies, repair.cause, repair.remedy, given, loc, whole=True):
            faults.append(fault)
            continue
        entity, _, code = repair.cause.partition("/")
        given = remedies[repair.remedy].settled(given)  # as the ledger keeps them, by which one is known again
        requests.append(Request(entity, code, repair.remedy, given, repair.reason, repair.follow, None, "project",
                                project.place("repairs", place)))  # fmt: skip
    if faults:
        raise MappingError(faults)
    return tuple(requests)


def with_defaults(project: Project, cause: str, remedy: str, given: Mapping[str, object]) -> dict[str, object]:
    """Settings, with those that the project file has for the remedy of a cause where none are given; maps are merged."""
    known = dict(project.remedies.get(cause, {}).get(remedy, {}))
    for name, value in given.items():
        own = known.get(name)
        known[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
    return known


def _takes(remedies: Mapping[str, Remedy], name: str, setting: str) -> bool:
    return name in remedies and any(s.name == setting for s in remedies[name].settings)


def _fault(
    project: Project, remedies: Mapping[str, Remedy], cause: str, name: str, settings: Mapping[str, object], loc: Loc, *,
    whole: bool,
) -> Fault | None:  # fmt: skip
    """What is wrong with a remedy of a cause. `whole`: nothing that it needs may be missing."""
    if name not in remedies:
        return _at(project, loc, f"there is no remedy {name!r}: {instead(name, remedies)}")
    if Reason(cause.partition("/")[2]) not in remedies[name].codes:
        return _at(project, loc, f"{name} does not heal {cause.partition('/')[2]}: write another remedy")
    try:
        remedies[name].settled(settings, whole=whole)
    except UsageError as error:
        return _at(project, loc, f"{error.message}: {error.hint}")
    return None


def _at(project: Project, loc: Loc, message: str) -> Fault:
    file, line, column = project.place(*loc).rsplit(":", 2)
    return Fault(file, int(line), int(column), message)


def failed(request: Request, error: UsageError, then: str) -> UsageError:
    """What is wrong with a repair of the project file, with its place there."""
    told = f"{request.place}: {request.remedy} for {request.cause}: {error.message}"
    return UsageError(told, hint="; ".join(filter(None, (error.hint, then))))
