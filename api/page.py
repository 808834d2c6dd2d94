"""The interface's description as a page: plain HTML out of the OpenAPI document, with no script and
nothing fetched from elsewhere."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from itertools import groupby
from typing import Any

Node = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
nav a { margin-right: 1rem; }
h2 { margin-top: 2.5rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; padding: .5rem .8rem; }
details > div { border-top: 1px solid var(--line); overflow-x: auto; padding: .3rem .8rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: var(--soft); border-radius: 6px; overflow-x: auto; padding: .8rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top; }
.method { display: inline-block; font-weight: 700; min-width: 4.5rem; }
"""
DIGEST = b64encode(sha256(STYLE.encode()).digest()).decode()
#: Allows this very style, and nothing else.
POLICY = f"default-src 'none'; style-src 'sha256-{DIGEST}'; frame-ancestors 'none'"


def page_of(document: Node) -> str:
    """The whole page."""
    calls = [
        (operation.get("tags", [""])[0], method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    groups = {tag: list(group) for tag, group in groupby(sorted_by_tag(calls), lambda c: c[0])}
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
    sections = "".join(
        f'<h2 id="{escape(tag)}">{escape(tag)}</h2>'
        + "".join(call_of(document, *call[1:]) for call in group)
        for tag, group in groups.items()
    )
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{escape(info.get('summary', ''))} A key goes into the header <code>authorization"
        "</code>, after the word Bearer. For programs: "
        '<a href="/openapi.json">openapi.json</a>.</p>'
        f"<nav>{links}</nav>{sections}</body></html>"
    )


def sorted_by_tag(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The calls with those of one tag together, in the order in which tags come first."""
    order = {tag: place for place, tag in enumerate(dict.fromkeys(call[0] for call in calls))}
    return sorted(calls, key=lambda call: order[call[0]])


def call_of(document: Node, method: str, path: str, operation: Node) -> str:
    """One call: what it does, takes and answers."""
    head = (
        f'<summary><span class="method">{method.upper()}</span><code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary>"
    )
    text = f"<p>{escape(operation.get('description', ''))}</p>"
    parameters = [
        (f"{told['name']} ({told['in']})", told.get("required"), told | told.get("schema", {}))
        for told in operation.get("parameters", ())
    ]
    bodies = "".join(
        body_of(document, kind, content)
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = [
        (status, "", {"description": told.get("description", "")})
        for status, told in operation["responses"].items()
    ]
    return (
        f"<details>{head}<div>{text}{table_of('Parameters', parameters)}{bodies}"
        f"{table_of('Answers', answers)}</div></details>"
    )


def body_of(document: Node, kind: str, content: Node) -> str:
    """What a call takes: its fields, and examples to copy."""
    schema = resolved(document, content.get("schema", {}))
    required = schema.get("required", ())
    rows = [
        (name, name in required, field | {"type": type_of(field)})
        for name, field in schema.get("properties", {}).items()
    ]
    examples = "".join(f"<pre>{escape(shown(e))}</pre>" for e in schema.get("examples", ()))
    return table_of(f"Body: {kind}", rows) + examples


def table_of(title: str, rows: Sequence[tuple[Any, Any, Node]]) -> str:
    """A table of names, or nothing if there are none."""
    if not rows:
        return f"<h4>{escape(title)}</h4>" if title.startswith("Body") else ""
    return f"<h4>{escape(title)}</h4><table>{''.join(lines_of(rows))}</table>"


def lines_of(rows: Sequence[tuple[Any, Any, Node]]) -> Iterator[str]:
    """A line for each name."""
    for name, is_required, told in rows:
        kind = ", ".join(filter(None, [type_of(told), "required" if is_required else ""]))
        yield (
            f"<tr><td><code>{escape(str(name))}</code></td><td>{escape(kind)}</td>"
            f"<td>{escape(told.get('description', ''))}</td></tr>"
        )


def resolved(document: Node, schema: Node) -> Node:
    """The schema itself, where another is named, or chosen beside null."""
    for choice in (schema, *schema.get("anyOf", ())):
        if name := choice.get("$ref", "").rpartition("/")[2]:
            found: Node = document["components"]["schemas"][name]
            return found
    return schema


def type_of(schema: Node) -> str:
    """The kind of a value, in a word or two."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(filter(None, map(type_of, schema["anyOf"]))))
    named = schema.get("$ref", "").rpartition("/")[2]
    return str(schema.get("type", named))


def shown(example: Any) -> str:
    """An example as it may be copied."""
    if isinstance(example, str):
        return example
    return json.dumps(example, indent=2, ensure_ascii=False)
