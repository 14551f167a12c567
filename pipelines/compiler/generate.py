"""The map becomes dbt models: flat templates filled with what the map says, written or checked."""

import hashlib
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.compiler.entity import Facts
from pipelines.compiler.format_macros import form_words
from pipelines.compiler.iso_macros import iso_words
from pipelines.compiler.properties import described
from pipelines.compiler.sql import listed, quoted
from pipelines.compiler.types import sql_type
from pipelines.language import handwritten
from pipelines.language.schema import Entity, IntegrationMap

TEMPLATES = Path(__file__).parent / "templates"
DBT_PROJECT = Path(__file__).parents[2] / "dbt_project"
MACROS = Path("duckdb_macros")  # below the dbt project
# Maps are frozen and few in a process; each is kept beside its marks, so that its id stays its own.
FINGERPRINTS: dict[int, tuple[IntegrationMap, dict[str, str]]] = {}


def environment() -> Environment:
    jinja = Environment(  # noqa: S701  (it writes SQL, not HTML)
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True,
        variable_start_string="<<", variable_end_string=">>", block_start_string="<%", block_end_string="%>",
        comment_start_string="<#", comment_end_string="#>", trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip  # dbt keeps the usual braces
    jinja.filters["quoted"] = quoted
    jinja.filters["sql_type"] = sql_type
    jinja.globals["described"] = described
    jinja.globals["in_dbt"] = lambda model: f'{{{{ ref("{model}") }}}}'
    jinja.filters["packed"] = lambda name: f"{name} := {name}"
    jinja.filters["found_by"] = lambda has: " and ".join(f"lists.{name} = {text}" for name, text in has.items())
    jinja.filters["listed"] = listed
    return jinja


def generate(the_map: IntegrationMap) -> dict[Path, str]:
    """Every generated file, by its path below the dbt project."""
    jinja = environment()
    models = Path("models/generated")
    files: dict[Path, str] = {MACROS / "iso.sql": iso_words(), MACROS / "forms.sql": form_words()}

    def render(template: str, path: str, facts: Facts) -> None:
        text = jinja.get_template(template).render(e=facts, the_map=the_map)
        files[models / facts.root.entity / path] = re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"

    for entity in the_map.entities.values():
        facts = Facts(the_map, entity)
        name = entity.entity
        if facts.sources:
            render("staging.sql", f"stg_{name}.sql", facts)
        if entity.parent is None:
            if facts.sources:
                render("landing.sql", f"landing_{name}.sql", facts)
                render("verdicts.sql", f"{name}_verdicts.sql", facts)
                render("quarantine.sql", f"{name}_quarantine.sql", facts)
            if facts.sources and not entity.model:
                render("flags.sql", f"{name}_flags.sql", facts)
            render("ledger.sql", f"ledger_{name}.sql", facts)
            render("links.sql", f"links_{name}.sql", facts)
            render("touched.sql", f"touched_{name}.sql", facts)
            if facts.has_conflicts:
                render("conflicts.sql", f"{name}_conflicts.sql", facts)
            if entity.match:
                render("matches.sql", f"{name}_matches.sql", facts)
            if facts.outbound:
                render("wanted.sql", f"wanted_{name}.sql", facts)
            if entity.reconcile:
                render("snapshots.sql", f"snapshots_{name}.sql", facts)
                render("reconcile.sql", f"reconcile_{name}.sql", facts)
            if entity.sold_by:
                render("markets.sql", f"{name}_markets.sql", facts)
                render("buyers.sql", f"{name}_buyers.sql", facts)
            if facts.remembered:
                render("past.sql", f"{name}_past.sql", facts)
            if entity.proofs:
                render("proofs.sql", f"proofs_{name}.sql", facts)
        if not entity.model:
            render("lines.sql" if entity.parent else "canonical.sql", f"{name}.sql", facts)
        render("properties.yml", f"{name}.yml", facts)
    return files


def fingerprint(the_map: IntegrationMap, entity: str) -> str:
    """What the map makes of an entity, as a hash: when it changes, the entity is rebuilt."""
    known = FINGERPRINTS.get(id(the_map))
    if known is None:
        files = generate(the_map)
        known = FINGERPRINTS[id(the_map)] = (
            the_map,
            {name: _fingerprint(files, entity) for name, entity in the_map.entities.items()},
        )
    return known[1][entity]


def _fingerprint(files: dict[Path, str], entity: Entity) -> str:
    folder = Path("models/generated") / entity.entity
    parts = [text for path, text in sorted(files.items()) if folder in path.parents or path.parent == MACROS]
    spoken = [*DBT_PROJECT.glob("macros/*.sql"), DBT_PROJECT / MACROS / "words.sql"]  # what models are spelled in
    parts += [path.read_text() for path in sorted(spoken)]
    if entity.model:  # written by hand, and read with the project's variables
        parts += [*handwritten.texts(entity.model, DBT_PROJECT), (DBT_PROJECT / "dbt_project.yml").read_text()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def stale(the_map: IntegrationMap, project: Path = DBT_PROJECT) -> list[Path]:
    """Generated files that are missing, different, or no longer generated."""
    files = generate(the_map)
    differs = [
        path for path, text in files.items() if not (project / path).exists() or (project / path).read_text() != text
    ]
    kept = {path.relative_to(project) for path in (project / "models/generated").rglob("*") if path.is_file()}
    return sorted([*differs, *(kept - set(files))])


def write(the_map: IntegrationMap, project: Path = DBT_PROJECT) -> list[Path]:
    """Bring the generated files up to date; which were changed."""
    files = generate(the_map)
    changed = stale(the_map, project)
    for path in changed:
        target = project / path
        if path in files:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[path])
        else:
            target.unlink()
    return changed
