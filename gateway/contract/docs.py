"""The contract as one page, without scripts and external assets, from the same table as the OpenAPI document."""

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.contract.route import SWITCHING, Route
from gateway.http import asgi, problems

_CODE: Final = re.compile(r"`([^`]+)`")
_EXAMPLES: Final = {
    "userId": "demo-user",
    "eventId": "EVENT_ID",
    "videoId": "VIDEO_ID",
    "decisionId": "DECISION_ID",
    "segmentId": "SEGMENT_ID",
    "id": "ID",
}

_STYLE: Final = """
:root{--ink:#1d2430;--soft:#5b6675;--line:#e2e6ec;--ground:#fff;--code:#f4f6f9;--get:#0b6b4f;--post:#7a3db8}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b6;--line:#2c3441;--ground:#12161d;
--code:#1b212b;--get:#4fd1a5;--post:#c79bf2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:2.5rem 1.25rem 5rem;background:var(--ground);color:var(--ink);
font:16px/1.6 system-ui,sans-serif}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .5rem}h2{font-size:1.25rem;margin:3rem 0 .5rem}
p{margin:.3rem 0;color:var(--soft)}a{color:inherit}
section{border-top:1px solid var(--line);padding:1.1rem 0}
h3{font:600 1rem/1.5 ui-monospace,monospace;margin:0;overflow-wrap:anywhere}
h3 b{display:inline-block;min-width:3.4rem}.get{color:var(--get)}.post,.put,.delete{color:var(--post)}
code,pre{font:.85rem/1.55 ui-monospace,monospace;background:var(--code);border-radius:4px}
code{padding:.1em .3em}pre{margin:.6rem 0 0;padding:.7rem .9rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
td,th{border-top:1px solid var(--line);padding:.45rem .75rem .45rem 0;text-align:left;vertical-align:top}
th{font-weight:600;color:var(--soft)}tr:target{background:var(--code)}
.wide{overflow-x:auto}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())

# Only a page needs these: a browser runs and frames nothing else that the gateway sends. Answers of the API have no
# Cross-Origin-Resource-Policy, because pages of other origins send events without asking to read the answer.
HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        % _STYLE_HASH,
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    *asgi.PUBLIC_CACHE,
)
"""The headers of the page: it runs no script, loads nothing, sends nothing and stands in no frame."""


def page(routes: Sequence[Route]) -> bytes:
    """The page as HTML."""
    body = "\n".join((*_head(), *(_section(route) for route in routes), *_reasons()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Journeymesh REST</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    ).encode()


def _head() -> Iterator[str]:
    yield "<h1>Journeymesh REST</h1>"
    yield "<p>Send what people do; read who struggles, and what help waits for them.</p>"
    yield "<p>Bodies are JSON in UTF-8 with camelCase names, times RFC 3339 with an offset. Every answer carries "
    yield "<code>X-Trace-Id</code>. The same as OpenAPI: <a href='/openapi.json'>/openapi.json</a>; "
    yield "what is pushed as AsyncAPI: <a href='/asyncapi.json'>/asyncapi.json</a>.</p>"
    yield "<h2>Routes</h2>"


def _section(route: Route) -> str:
    about = f'<h3><b class="{route.method.lower()}">{route.method}</b> {html.escape(route.path)}</h3>'
    query = "".join(f"<p><code>?{each.name}=</code> {_marked(each.meaning)}</p>" for each in route.query)
    return f"<section>{about}<p>{_marked(route.summary)}</p>{query}<pre>{html.escape(_curl(route))}</pre></section>"


def _curl(route: Route) -> str:
    path = route.path
    for name, value in _EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    if route.status == SWITCHING:
        return f"python -m websockets ws://127.0.0.1:8080{path}\n> {route.example}"
    url = f"http://127.0.0.1:8080{path}"
    if route.method == "DELETE":
        return f"curl -X DELETE {url}"
    if route.example:
        return f"curl {url} -H 'content-type: application/json' \\\n  -d '{route.example}'"
    return f"curl {'-N ' if route.answer == 'text/event-stream' else ''}{url}"


def _reasons() -> Iterator[str]:
    yield "<h2>Errors</h2>"
    yield "<p>Every error is <code>application/problem+json</code> with <code>reason</code>, <code>detail</code> and "
    yield "<code>traceId</code>; reasons are never renamed. <code>Retry-After</code> says how long to wait."
    yield "</p><div class='wide'><table><tr><th>Reason</th><th>Status</th><th>Meaning</th></tr>"
    for name, (meaning, statuses) in problems.REASONS.items():
        numbers = ", ".join(map(str, statuses))
        yield f"<tr id='{name}'><td><code>{name}</code></td><td>{numbers}</td><td>{_marked(meaning)}</td></tr>"
    yield "</table></div>"


def _marked(text: str) -> str:
    """Plain text as HTML, with backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text))
