"""Finds secrets in the files that standard input names; run as `python -m dag_integrity.secrets ENTROPY`.

detect-secrets knows the tokens of vendors. Passwords are found in the syntax tree: a name that says so, and a text that is
no name, path, placeholder or template. Writes [[file, line, rule, message], ...] as JSON. The value of a secret is never
part of it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

NOISY = {"IPPublicDetector"}  # an address in a DAG is no secret
ENTROPY = {"Base64HighEntropyString", "HexHighEntropyString"}  # digests and ids are random-looking, too
KEYWORD = "Secret Keyword"
PRIVATE_KEY = "Private Key"  # it is found by its first line, which says what it is
ALLOWED = re.compile(r"pragma: ?(?:allowlist|whitelist) secret")
ALLOWED_NEXT = re.compile(r"pragma: ?(?:allowlist|whitelist) nextline secret")
# What a name ends in that holds a secret: `token_url` and `secret_id` hold none.
WORDS = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?"
    r"|(?:api|access|secret|private|auth|encryption|fernet|account|signing|service|client|db)_?key)"
)
NAME = re.compile(rf"(?:^|.*[^a-z]){WORDS}", re.IGNORECASE)
TOGETHER = re.compile(
    r"\w*?(?:password|passwd|passphrase|secret|token|api_?key|secret_?key|access_?key|private_?key)", re.IGNORECASE
)
IN_TEXT = (
    # PGPASSWORD=x, --password=x, ;PWD=x; and JSON: "password": "x"
    re.compile(rf"(?:^|[\s;&?,'\"{{-])[\w.]*{WORDS}=['\"]?(?P<value>[^\s'\",;&}}]+)", re.IGNORECASE),
    re.compile(rf"['\"][\w.-]*{WORDS}['\"]\s*:\s*['\"](?P<value>[^'\"]+)['\"]", re.IGNORECASE),
    re.compile(rf"--[\w-]*{WORDS}\s+['\"]?(?P<value>[^\s'\"-][^\s'\"]*)", re.IGNORECASE),
    re.compile(r"\bcurl\b.*?\s(?:-u|--user)\s*['\"]?[^\s:'\"]+:(?P<value>[^\s'\"]+)"),
    re.compile(r"\bmysql\w*\b.*?\s-p(?P<value>[^\s'\"]+)"),
    re.compile(r"\bsshpass\s+-p\s*['\"]?(?P<value>[^\s'\"]+)"),
    re.compile(r"\bredis-cli\b.*?\s(?:-a|--pass)\s*['\"]?(?P<value>[^\s'\"]+)"),
    re.compile(
        rf"^\s*(?:- )?[\w.-]*{WORDS}:[ \t]+['\"]?(?P<value>[^\s'\"]+)['\"]?[ \t]*$", re.IGNORECASE | re.MULTILINE
    ),  # YAML
    re.compile(r"\w://[^\s/:@]*:(?P<value>[^\s/@]+)@"),
    re.compile(r"\b(?:Bearer|Basic)\s+(?P<value>[A-Za-z0-9._~+/=-]{12,})"),
)
PLACEHOLDER = re.compile(
    r"change[-_ ]?(?:me|it|this)\w*|your.*|<.*>|\[.*\]|x{3,}|\*+|\.{2,}|-+|_+|to-?do|none|null|n/?a|true|false"
    r"|redacted|hidden|masked"
    r"|(?:my|the|a|some|db|test|dummy|fake|example|sample)?[-_ ]?"
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_ ]?key|key|placeholder|dummy|example|credentials?|value)s?",
    re.IGNORECASE,
)
REFERENCE = re.compile(r"\{\{|\{%|\$\w|\$\{|\$\(|%\(\w+\)s|`|\(|^%s$|^\{\w*\}$|^\{[^}]*\}|^:\w+$")
PATHS = re.compile(
    r"(?:~|\.{1,2})?/.*|[A-Za-z]:\\.*|(?:arn|vault|env|file|op|awssm|gcpsm|s3|gs|projects|secretsmanager|ssm)[:/].*"
)
SEGMENTS = re.compile(r"(?:[a-z_][a-z0-9_.-]*|[A-Z_]+)(?:/(?:[a-z0-9_.{}-]+|[A-Z_]+))+")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,}")
CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
SECRET_WORD = re.compile(r"pass|pwd|secret|token|key|cred|auth", re.IGNORECASE)
GETTERS = {"get", "getenv", "pop", "setdefault", "config"}
# Calls whose second argument is the password of the user that the first one names.
SIGN_INS = {"login", "HTTPBasicAuth", "BasicAuth", "HTTPDigestAuth", "set_basic_auth", "basic_auth"}
PAGING = re.compile(
    r"(?:next|page|cursor|continuation|sync|start|end|pad|eos|bos|sep|mask|unk|cls)\w*token", re.IGNORECASE
)
DECODERS = {
    "b64decode",
    "b64encode",
    "fromhex",
    "decode",
    "encode",
    "join",
    "strip",
    "unhexlify",
    "reversed",
    "str",
    "bytes",
    "SecretStr",
}


def plugins(high_entropy: bool) -> list[str]:
    """Return the detectors that are used."""
    mapping: dict[str, type] = get_mapping_from_secret_type_to_class()
    names = {each.__name__ for each in mapping.values()}
    return sorted(names - NOISY - (set() if high_entropy else ENTROPY))


def is_name(text: str | None) -> bool:
    """Tell whether it is the name of a secret rather than one: three words or more, as in `bugzilla_bot_api_key`."""
    word = r"(?:[A-Z]?[a-z0-9]{1,15}|[A-Z0-9]{1,15})"
    named = re.fullmatch(rf"(?=[A-Za-z]){word}(?:(?:__|[-_./ ]){word}){{2,}}", text or "")
    return named is not None and not re.search(r"\d{3}|\d[A-Za-z]+\d", text or "")


def is_harmless(text: str | None) -> bool:
    """Tell whether a text that is given where a secret belongs is none: a name, path, placeholder or template."""
    value = (text or "").strip()
    if len(value) < 3 or is_name(value) or PLACEHOLDER.fullmatch(value) or REFERENCE.search(value):
        return True
    if PATHS.fullmatch(value) or SEGMENTS.fullmatch(value) or DOTTED.fullmatch(value) or CONSTANT.fullmatch(value):
        return True
    if re.match(r"[a-z][\w+.-]*://", value) and not re.search(r"://[^/\s:@]*:[^/\s@]+@", value):
        return True  # an address
    words = re.fullmatch(r"[A-Za-z]+(?:[-_. :][A-Za-z]+)+", value)
    return words is not None and (SECRET_WORD.search(value) is not None or value.count(" ") >= 2)


def is_secret_name(name: str | None) -> bool:
    """Tell whether a variable, argument or key called so holds a secret."""
    if PAGING.search(name or ""):
        return False  # a place in a listing or a text, not a right to enter
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name or "").replace("-", "_")
    return bool(NAME.fullmatch(spaced) or TOGETHER.fullmatch(spaced))


class Finder(ast.NodeVisitor):
    """Collects the lines of a file where a secret is written down."""

    def __init__(self) -> None:
        self.lines: set[tuple[int, str]] = set()

    def _give(self, name: str | None, value: ast.AST | None) -> None:
        """Note the lines of a value that is given to something of this name, where it looks like a secret."""
        if value is not None and is_secret_name(name):
            for text in _texts(value):
                if not is_harmless(text):
                    self.lines.add((value.lineno, "a password or token"))  # type: ignore[attr-defined]

    def visit_Assign(self, node: ast.Assign) -> None:
        """Look at `password = ...`, `config["password"] = ...`, `a, password = ..., ...`."""
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    self._give(_name(one), value)
            self._give(_name(target), node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Look at `password: str = ...`."""
        self._give(_name(node.target), node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Look at `(password := ...)`."""
        self._give(_name(node.target), node.value)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """Look at `f(password=...)` and at `f(auth=("user", ...))`."""
        self._give(node.arg, node.value)
        if (
            node.arg in ("auth", "basic_auth", "http_auth")
            and isinstance(node.value, ast.Tuple)
            and len(node.value.elts) == 2
        ):
            self._give("password", node.value.elts[1])
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        """Look at `{"password": ...}`."""
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._give(key.value, value)
        self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> None:
        """Look at `def f(password=...)`."""
        positional = [*node.posonlyargs, *node.args]
        for argument, value in zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True):
            self._give(argument.arg, value)
        for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            self._give(argument.arg, default)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Look at `os.getenv("DB_PASSWORD", ...)`, `server.login("user", ...)` and the like."""
        if _name(node.func) in SIGN_INS and len(node.args) == 2:
            self._give("password", node.args[1])
        if _name(node.func) in GETTERS and node.args and isinstance(node.args[0], ast.Constant):
            for default in _defaults(node):
                self._give(str(node.args[0].value), default)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Look into a text: a command, an address, a document."""
        text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
        if not isinstance(text, str) or len(text) > 100_000:
            return
        for pattern in IN_TEXT:
            for match in pattern.finditer(text):
                if not is_harmless(match.group("value")):
                    end = (node.end_lineno or node.lineno) - text.count("\n", match.start("value"))
                    self.lines.add((max(node.lineno, end), "a password or token in a text"))


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else None


def _defaults(call: ast.Call) -> Iterator[ast.AST]:
    yield from call.args[1:2]
    yield from (each.value for each in call.keywords if each.arg in ("default", "default_var", "fallback"))


def _texts(node: ast.AST) -> Iterator[str]:
    """Return the texts that an expression may stand for, also put together, decoded or as a default."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        yield node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
    elif isinstance(node, ast.JoinedStr):
        if all(isinstance(each, ast.Constant) for each in node.values):
            yield "".join(str(getattr(each, "value", "")) for each in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [*_texts(node.left), *_texts(node.right)]
        if len(parts) > 1:
            yield "".join(parts)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _texts(each)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.Subscript):
        yield from _texts(node.value)
    elif isinstance(node, ast.Call):
        yield from _call_texts(node)


def _call_texts(node: ast.Call) -> Iterator[str]:
    if _name(node.func) in DECODERS:
        inner = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        for each in inner:
            if isinstance(each, ast.List | ast.Tuple):
                yield "".join(text for part in each.elts for text in _texts(part))
            else:
                yield from _texts(each)


def in_syntax(source: str) -> set[tuple[int, str]] | None:
    """Return the lines of a file where a secret is written down; None when it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    finder = Finder()
    finder.visit(tree)
    lines = source.splitlines()

    def allowed(number: int) -> bool:
        own, above = lines[number - 1], lines[number - 2] if number > 1 else ""
        return bool(ALLOWED.search(own) or ALLOWED_NEXT.search(above))

    return {(number, kind) for number, kind in finder.lines if number > len(lines) or not allowed(number)}


def scan(file: str) -> set[tuple[int, str]]:
    """Return the lines of a file with a secret, and what kind of secret it looks like."""
    source = Path(file).read_text(encoding="utf-8", errors="replace")
    own = in_syntax(source)
    lines = source.splitlines()
    found = set(own or ())
    told = {number for number, _ in found}
    for each in scan_file(file):
        line = lines[each.line_number - 1].lstrip() if each.line_number <= len(lines) else ""
        keyword = each.type == KEYWORD and own is not None and not line.startswith("#")
        harmless = each.type != PRIVATE_KEY and is_harmless(each.secret_value)
        if not keyword and each.line_number not in told and not harmless:
            found.add((each.line_number, each.type))
    return found


def main() -> None:
    """Scan."""
    files = sys.stdin.read().splitlines()
    found = []
    with transient_settings({"plugins_used": [{"name": name} for name in plugins(sys.argv[1] == "1")]}):
        for file in files:
            found += [
                (file, line, "AA701", f"looks like a secret ({kind}); its value is not shown")
                for line, kind in scan(file)
            ]
    json.dump(sorted(found), sys.stdout)


if __name__ == "__main__":
    main()
