"""The schema against which the shop's answers are executed: Shopify's real one, or our own extract of it; and its costs."""

import gzip
import hashlib
import json
import math
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_client_schema,
    build_schema,
    get_named_type,
    is_leaf_type,
)

API_VERSION = "2026-10"
PACKAGE = "@shopify/dev-mcp@1.16.0"  # carries the introspection of every Admin API version
MEMBER = f"package/dist/data/admin_{API_VERSION}.json.gz"
SHA256 = "f3b522f264556925eada700e795e4a002a9cba83444ebcc6c0d724254a0c6593"
EXTRACT = Path(__file__).with_name("shopify_admin.graphql")
NPM_SECONDS = 180  # 14 MB over a slow line


class Schema(NamedTuple):
    graphql: GraphQLSchema
    is_real: bool
    note: str  # one sentence: what answers are validated against


def prepare(folder: Path) -> str:
    """Fetch Shopify's schema into the folder unless it is there; one sentence that says how it went. Never raises."""
    kept = folder / f"admin_{API_VERSION}.json.gz"
    if kept.exists():
        return f"Shopify's Admin schema {API_VERSION} is here"
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed, so Shopify's real schema cannot be had"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"fetching Shopify's Admin schema {API_VERSION} ({PACKAGE}, 14 MB) ...", flush=True)
    try:
        packed = subprocess.run(
            [
                npm,
                "pack",
                PACKAGE,
                "--ignore-scripts",
                "--silent",
                "--fetch-retries=1",
                "--pack-destination",
                str(folder),
            ],
            capture_output=True,
            text=True,
            timeout=NPM_SECONDS,
            check=True,
            cwd=folder,
        )
        archive = folder / packed.stdout.split()[-1]
        with tarfile.open(archive) as package:
            member = package.extractfile(MEMBER)
            body = member.read() if member else b""
        archive.unlink()
    except (subprocess.SubprocessError, OSError, tarfile.TarError, KeyError, IndexError) as problem:
        detail = getattr(problem, "stderr", None) or str(problem)
        return f"npm could not fetch {PACKAGE}: {' '.join(str(detail).split())[:200]}"
    if hashlib.sha256(body).hexdigest() != SHA256:
        return f"{PACKAGE} does not hold the schema that we know; it is not used"
    unfinished = kept.with_suffix(".part")
    unfinished.write_bytes(body)
    unfinished.replace(kept)
    return f"Shopify's Admin schema {API_VERSION} was fetched"


def load(folder: Path) -> Schema:
    """The real schema where `prepare` could have it, our own extract elsewhere."""
    kept = folder / f"admin_{API_VERSION}.json.gz"
    if kept.exists():
        introspection = json.loads(gzip.decompress(kept.read_bytes()))
        schema = build_client_schema(introspection.get("data", introspection), assume_valid=True)
        return Schema(schema, True, f"every answer is validated against Shopify's own Admin schema {API_VERSION}")
    note = (
        "answers are NOT validated against Shopify's real schema, only against our own extract of it;"
        " `python -m resources.sandbox.shopify prepare` fetches the real one where npm is installed"
    )
    return Schema(build_schema(EXTRACT.read_text()), False, note)


def query_cost(
    schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], data: Mapping[str, Any] | None = None
) -> int:
    """What Shopify asks for a request, in points: at most, or with the answer's data what it cost in the end.

    The rule was found in recorded requests of a live shop and tells 1,018 of 1,231 to the point (counts, which we never
    ask for, cost more): a connection costs 2 and, for each of s(n) nodes, 1 and what stands inside; s(1) = 1, s(2) = 2,
    s(n) = 2 ln n. Objects cost 1, money and addresses nothing, a mutation 10 with its payload's own objects free.
    """
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    is_mutation = operation.operation.value == "mutation"
    root = schema.mutation_type if is_mutation else schema.query_type
    assert root is not None
    counter = _Counter(schema, fragments, variables)
    return max(math.ceil(counter.inside(operation.selection_set, root, data)), 10 if is_mutation else 1)


class _Counter:
    """Walks a request, and its answer where there is one. A value of None stands for an answer not yet known."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self.schema, self.fragments, self.variables = schema, fragments, variables

    def fields(
        self, selections: SelectionSetNode, of: GraphQLNamedType
    ) -> Iterator[tuple[FieldNode, GraphQLNamedType]]:
        """The fields that are asked for, with the type that each belongs to."""
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                yield selection, of
                continue
            part: FragmentDefinitionNode | InlineFragmentNode
            if isinstance(selection, FragmentSpreadNode):
                part = self.fragments[selection.name.value]
            else:
                assert isinstance(selection, InlineFragmentNode)
                part = selection
            kind = self.schema.type_map[part.type_condition.name.value] if part.type_condition else of
            yield from self.fields(part.selection_set, kind)

    def inside(self, selections: SelectionSetNode | None, of: GraphQLNamedType, value: Any) -> float:
        """What the fields of one object cost; of the mean one, when there are several."""
        if selections is None:
            return 0
        if isinstance(value, list):
            return sum(self.inside(selections, of, one) for one in value) / len(value) if value else 0
        total = 0.0
        for field, parent in self.fields(selections, of):
            name = field.alias.value if field.alias else field.name.value
            if value is None:
                total += self.one(field, parent, None)
            elif value.get(name) is not None:  # what is not there costs nothing
                total += self.one(field, parent, value[name])
        return total

    def one(self, field: FieldNode, parent: GraphQLNamedType, value: Any) -> float:
        if field.name.value not in getattr(parent, "fields", {}):  # __typename
            return 0
        kind = _kind(parent, field.name.value)
        if is_leaf_type(kind) or kind.name == "PageInfo":
            return 0
        if kind.name.endswith("Connection"):
            return self.connection(field, kind, value)
        if kind.name.endswith("Payload") and field.selection_set:
            total = 10.0
            for part, owner in self.fields(field.selection_set, kind):
                inner = _kind(owner, part.name.value)
                told = None if value is None else value.get(part.name.value)
                total += 0 if value is not None and told is None else self.inside(part.selection_set, inner, told)
            return total
        is_free = kind.name in ("MoneyBag", "MoneyV2", "MailingAddress") or kind.name.endswith("UserError")
        return (0 if is_free else 1) + self.inside(field.selection_set, kind, value)

    def connection(self, field: FieldNode, kind: GraphQLNamedType, value: Mapping[str, Any] | None) -> float:
        size = self.number(field, "first") or self.number(field, "last") or 10
        node = _kind(kind, "nodes")
        inner = 0.0
        for part in field.selection_set.selections if field.selection_set else ():
            if isinstance(part, FieldNode) and part.name.value in ("nodes", "edges"):
                told = None if value is None else value[part.name.value]
                size = size if told is None else len(told)
                selections = part.selection_set
                if part.name.value == "edges" and selections:
                    asked = [one for one in selections.selections if isinstance(one, FieldNode)]
                    selections = next((one.selection_set for one in asked if one.name.value == "node"), None)
                    told = None if told is None else [edge["node"] for edge in told if "node" in edge]
                inner += self.inside(selections, node, told)
        nodes = size if size < 3 else int(2 * math.log(size))
        return 2 + nodes * (1 + inner)

    def number(self, field: FieldNode, name: str) -> int | None:
        for argument in field.arguments:
            if argument.name.value == name:
                value = argument.value
                if isinstance(value, VariableNode):
                    given = self.variables.get(value.name.value)
                    return int(given) if given is not None else None
                return int(value.value) if isinstance(value, IntValueNode) else None
        return None


def _kind(of: GraphQLNamedType, field: str) -> GraphQLNamedType:
    """The type of a field, without its list and non-null."""
    return cast(GraphQLNamedType, get_named_type(of.fields[field].type))  # type: ignore[attr-defined]
