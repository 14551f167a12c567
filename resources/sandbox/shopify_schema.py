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
from typing import Any, NamedTuple

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
            [npm, "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(folder)],
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
    note = "answers are NOT validated against Shopify's real schema, only against our own extract of it"
    return Schema(build_schema(EXTRACT.read_text()), False, note)


def query_cost(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """What Shopify asks for a request, in points.

    The rule was fitted to 300 recorded requests of a live shop: a connection costs 2 and, for each of s(first) nodes,
    1 and what stands inside; s(1) = 1, s(2) = 2, s(n) = 2 ln n. Objects cost 1, money and addresses nothing, a
    mutation 10 with its payload's own objects free.
    """
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    is_mutation = operation.operation.value == "mutation"
    root = schema.mutation_type if is_mutation else schema.query_type
    assert root is not None

    def fields(selections: SelectionSetNode, of: GraphQLNamedType) -> Iterator[tuple[FieldNode, GraphQLNamedType]]:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                yield selection, of
                continue
            if isinstance(selection, FragmentSpreadNode):
                part: FragmentDefinitionNode | InlineFragmentNode = fragments[selection.name.value]
            else:
                assert isinstance(selection, InlineFragmentNode)
                part = selection
            condition = part.type_condition
            yield from fields(part.selection_set, schema.type_map[condition.name.value] if condition else of)

    def inside(selections: SelectionSetNode | None, of: GraphQLNamedType) -> int:
        return sum(one(field, parent) for field, parent in fields(selections, of)) if selections else 0

    def number(field: FieldNode, name: str) -> int | None:
        for argument in field.arguments:
            if argument.name.value == name:
                value = argument.value
                if isinstance(value, VariableNode):
                    given = variables.get(value.name.value)
                    return int(given) if given is not None else None
                return int(value.value) if isinstance(value, IntValueNode) else None
        return None

    def one(field: FieldNode, parent: GraphQLNamedType) -> int:
        definition = getattr(parent, "fields", {}).get(field.name.value)
        if definition is None:
            return 0
        kind = get_named_type(definition.type)
        if is_leaf_type(kind) or kind.name == "PageInfo":
            return 0
        if kind.name.endswith("Connection"):
            size = number(field, "first") or number(field, "last") or 10
            nodes = size if size < 3 else int(2 * math.log(size))
            return 2 + nodes * (1 + sum(inside(f.selection_set, _node_of(kind)) for f, _ in _nodes(field)))
        if kind.name.endswith("Payload"):
            payload = fields(field.selection_set, kind) if field.selection_set else ()
            return 10 + sum(inside(f.selection_set, get_named_type(_type(p, f))) for f, p in payload if _type(p, f))
        is_free = kind.name in ("MoneyBag", "MoneyV2", "MailingAddress") or kind.name.endswith("UserError")
        return (0 if is_free else 1) + inside(field.selection_set, kind)

    def _type(parent: GraphQLNamedType, field: FieldNode) -> Any:
        definition = getattr(parent, "fields", {}).get(field.name.value)
        return definition.type if definition else None

    def _node_of(connection: GraphQLNamedType) -> GraphQLNamedType:
        kind = get_named_type(connection.fields["nodes"].type)  # type: ignore[attr-defined]
        assert isinstance(kind, GraphQLNamedType)
        return kind

    def _nodes(field: FieldNode) -> Iterator[tuple[FieldNode, None]]:
        """The selections on the nodes of a connection, whether asked for by nodes or by edges."""
        for selection in field.selection_set.selections if field.selection_set else ():
            if isinstance(selection, FieldNode) and selection.name.value == "nodes":
                yield selection, None
            elif isinstance(selection, FieldNode) and selection.name.value == "edges" and selection.selection_set:
                for edge in selection.selection_set.selections:
                    if isinstance(edge, FieldNode) and edge.name.value == "node":
                        yield edge, None

    return max(inside(operation.selection_set, root), 10 if is_mutation else 1)
