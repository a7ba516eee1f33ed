"""The export to one format: its files with their heads, and all that they do not say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from shlex import quote
from textwrap import fill
from typing import Final

from policy.errors import SettingError
from sim.errors import RefusedToAnswer, ScenarioError
from sim.exports.formats import FORMATS, Format, close_format
from sim.exports.names import Names
from sim.exports.seal import origin, sealed
from sim.exports.telling import DoesNotFit, Draft
from sim.scenario.identity import scenario_hash
from sim.scenario.spec import Scenario
from sim.scenario.units import listed, shown
from sim.scenario.versions import each_version, version_names, version_rules

__all__ = ["Exported", "Fit", "best_fit", "export", "fitting"]

_WIDTH = 110
"""Columns of the comment above a file."""

_REASONS_MOST: Final = 8
"""So many refusals, one behind the other, are followed to find all settings that a format takes."""

_KIND: Final = re.compile(r"^kind: (\w+)$", re.MULTILINE)

_OF_PRESETS: Final = {
    "kubernetes_hpa": "kubernetes",
    "kubernetes_hpa_behavior": "kubernetes",
    "keda": "keda",
    "knative": "knative",
    "ray_serve": "ray-serve",
}
"""The formats of the systems whose defaults an autoscaler can have; target tracking has none."""


@dataclass(frozen=True)
class Exported:
    """What a scenario is in the words of one system."""

    format: str
    files: Mapping[str, str]  # text by name
    notes: tuple[str, ...]  # what the files say otherwise, or not at all: sentences, which stand in them too
    without: tuple[str, ...] = ()  # the versions that are in none of the files

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the objects that the files hold, in their order, of a format that has such."""
        return tuple(dict.fromkeys(kind for text in self.files.values() for kind in _KIND.findall(text)))


@dataclass(frozen=True)
class Fit:
    """What became of one format."""

    format: Format
    exported: Exported | None  # None: it does not fit
    why: str = ""  # then why, and the rest of a sentence: the formats that can say it, what to set, what else helps
    able: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # key=value
    hint: str = ""
    said: frozenset[str] = frozenset()  # keys of the scenario that the files say, or that were said before the refusal

    @property
    def refusal(self) -> str:
        """Why it does not fit, and what helps, in a sentence; nothing where it fits."""
        if self.exported is not None:
            return ""
        advice = [f"--to {listed(self.able, 'or')} can say it"] if self.able else []
        changes = [f"--set {quote(setting)}" for setting in self.settings]
        advice += [" ".join([*changes, self.hint])] if self.hint else []
        return f"{self.why}: {'; '.join(advice or ['no other format can say it, and no --set helps'])}."


Again = Callable[[Sequence[str]], Scenario]
"""Loads a scenario with further settings, key=value."""


def export(scenario: Scenario, to: str, names: Names | None = None, again: Again | None = None) -> Exported:
    """Return the scenario in the format of that name.

    Raises ScenarioError for a name that is none, or that its files do not hold, and RefusedToAnswer, with the formats
    that can say it, where they would say something else than the scenario. With `again` a refusal names all settings
    that it takes, and not those of its first reason alone.
    """
    chosen, given = _format_named(to), names or Names()
    _refuse_useless_names(chosen, given)
    fit = _fit(chosen, scenario, given, _drafts(scenario, given))
    if fit.exported is None:
        raise RefusedToAnswer(_with_all_settings(fit, again).refusal)
    return fit.exported


def fitting(scenario: Scenario, again: Again | None = None) -> tuple[Fit, ...]:
    """Return what becomes of a scenario in each format; `again` as in export().

    Raises ScenarioError where it contradicts itself.
    """
    names = Names()
    drafts = _drafts(scenario, names)
    return tuple(_with_all_settings(_fit(one, scenario, names, drafts), again) for one in FORMATS)


def _with_all_settings(fit: Fit, again: Again | None) -> Fit:
    """Return a refusal with all settings that make its format fit; as it is where its own are not part of such."""
    settings, found = list(fit.settings), fit
    for _ in range(_REASONS_MOST):
        if again is None or not found.settings:
            return fit
        try:
            changed = again(settings)
        except (ScenarioError, SettingError):
            return fit
        found = _fit(fit.format, changed, Names(), _drafts(changed, Names()))
        if found.exported is not None:
            return replace(fit, settings=tuple(settings))
        settings += found.settings
    return fit


def best_fit(scenario: Scenario, fits: Iterable[Fit] | None = None) -> Fit:
    """Return the format that suits a scenario best, of those that run a fleet; the nearest, refused, where none fits.

    That is the one that says all versions, then that of the autoscaler's preset, then the one that says most of the
    autoscaler and the rollout; among equals Kubernetes goes first. `fits` are what fitting() returns, where that is
    there already. Raises ScenarioError.
    """
    written = each_version(scenario)[version_rules(scenario).weights.stable].fleet.autoscaler
    of_preset = None if written is None or written.preset is None else _OF_PRESETS.get(written.preset)

    def rank(fit: Fit) -> tuple[bool, int, bool, int]:
        without = fit.exported.without if fit.exported else ()
        said = sum("autoscaler." in key or key.startswith("rollout.") for key in fit.said)
        return fit.exported is not None, -len(without), fit.format.name == of_preset, said

    return max((fit for fit in fits or fitting(scenario) if fit.format.runs_fleets), key=rank)


def _fit(one: Format, scenario: Scenario, names: Names, drafts: Mapping[str, Draft | DoesNotFit]) -> Fit:
    """Return what became of a format, with what the others can say."""
    said = {name: draft.said for name, draft in drafts.items()}
    draft = drafts[one.name]
    if isinstance(draft, Draft):
        left = dict(draft.left)
        absent = {
            key: left.pop(key)
            for key in [f"versions.{place}" for place in range(len(scenario.versions))]
            if key in left
        }
        about_names = (*_renamed(one, scenario, names), *_without(one, absent, scenario, said))
        notes = (*about_names, *draft.notes, *_left_over(left, one, said))
        files = _with_heads(draft.files, scenario, one, notes)
        return Fit(one, Exported(one.name, files, notes, tuple(absent.values())), said=draft.said)
    able = [name for name, keys in said.items() if draft.key in keys]
    return Fit(one, None, draft.why, tuple(able), draft.settings, draft.hint, draft.said)


def _renamed(one: Format, scenario: Scenario, names: Names) -> list[str]:
    """Return a sentence where the name in the files is not the scenario's."""
    if "name" not in one.takes or names.name is not None or names.of(scenario) == scenario.name:
        return []
    return [f"name is {shown(scenario.name)}: the files have {names.of(scenario)}, and --name says another."]


def _without(
    one: Format, absent: Mapping[str, str], scenario: Scenario, said: Mapping[str, frozenset[str]]
) -> list[str]:
    """Return a sentence on the versions that are in none of the files, by key, and on who has them."""
    if not absent:
        return []
    there = [name for name in version_names(scenario) if name not in absent.values()]
    able = [name for name, keys in said.items() if keys.issuperset(absent)]
    has = f"; --to {listed(able, 'or')} has all" if able else ""
    verb = "is" if len(absent) == 1 else "are"
    return [f"{listed(absent.values())} {verb} in none of the files of {one.name}, only {listed(there)}{has}."]


def _format_named(name: str) -> Format:
    """Return the format of that name. Raises ScenarioError."""
    for one in FORMATS:
        if one.name == name:
            return one
    close = close_format(name)
    hint = f" Did you mean {close}?" if close else ""
    raise ScenarioError(f"to must be {listed([one.name for one in FORMATS], 'or')}. Got {shown(name)}.{hint}")


def _refuse_useless_names(chosen: Format, names: Names) -> None:
    """Raise ScenarioError for a name that the files of the format do not hold."""
    for field in fields(names):
        if getattr(names, field.name) is not None and field.name not in chosen.takes:
            takers = listed([one.name for one in FORMATS if field.name in one.takes])
            raise ScenarioError(f"{field.name} stands in files of {takers} only, and in none of {chosen.name}.")


def _drafts(scenario: Scenario, names: Names) -> dict[str, Draft | DoesNotFit]:
    """Return what each format makes of a scenario, or why it does not fit, by its name."""
    drafts: dict[str, Draft | DoesNotFit] = {}
    for one in FORMATS:
        try:
            drafts[one.name] = import_module(one.module).write(scenario, names)
        except DoesNotFit as misfit:
            drafts[one.name] = misfit
    return drafts


def _left_over(left: Mapping[str, str], chosen: Format, said: Mapping[str, frozenset[str]]) -> list[str]:
    """Return a sentence for all keys that the same other formats can say, since this one has no word for them."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for key in left:
        asked = _main_key(key)
        if asked in said[chosen.name]:
            asked = key
        alike.setdefault(tuple(name for name, keys in said.items() if asked in keys), []).append(key)
    sentences = []
    for able, keys in alike.items():
        where = f"; --to {listed(able, 'or')} has" if able else ", nor has any other format that fits"
        sentences.append(f"{_named(keys, left)}: {chosen.name} has no word for that{where}.")
    return sentences


def _main_key(key: str) -> str:
    """Return the key by which a format is found: one that has the formula of an autoscaler tells of all the rest."""
    section, found, _ = key.partition("autoscaler.")
    if found:
        return f"{section}autoscaler.formula"
    return "rollout.steps" if key.startswith("rollout.") else key


def _named(keys: Iterable[str], left: Mapping[str, str]) -> str:
    """Return keys with their values; one that stands in the section of the one before by its last name."""
    words, before = [], ""
    for key in keys:
        section, _, name = key.rpartition(".")
        words.append(f"{f'.{name}' if section and section == before else key} ({left[key]})")
        before = section
    return listed(words)


def _with_heads(files: Mapping[str, str], scenario: Scenario, chosen: Format, notes: Iterable[str]) -> dict[str, str]:
    """Return the files under comments: what each was made from, and, above the first, all that they do not say."""
    made = origin(chosen.name, shown(scenario.name), scenario_hash(scenario))
    first = next(iter(files))
    elsewhere = f"What is to be known of it stands in {first}."
    return {
        name: sealed(_comment([made]), _comment(notes if name == first else [elsewhere]) + text)
        for name, text in files.items()
    }


def _comment(lines: Iterable[str]) -> str:
    """Return lines as a comment, which all formats begin with #."""
    return "".join(
        fill(line, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False) + "\n"
        for line in lines
    )
