"""Strings from outside in pictures, pages and mathematics: they are shown, and do nothing."""

import json
import math
import re
import warnings
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import (
    Value,
    custom,
    detect_anomaly,
    draw,
    explain,
    scope,
    steps,
    warn_missing_gradients,
)
from nn import Module, save

pytest.importorskip("graphviz")
pytestmark = pytest.mark.one_engine

HOSTILE = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--", "]]>", "-->",
    '"><svg/onload=alert(1)>', "&lt;b&gt;&amp;&#0;", "\\N\\G\\L\\n", '"];evil[label="', "{a|b}",
    "/*DATA*/", "/*SCRIPT*/ TITLE", "\\end{aligned}\\input{/etc/passwd}", "$$x$$ %", "\x00\x1b[31m",
    "\u202eright to left", "\ud800", "a/b//c", "\n\r\u2028\u2029", "x" * 10_000, "%s{0}{x!r}",
]  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=30)


def graph(label, name):
    w, x = Value(2.0, label), Value(3.0, "x")
    with scope(name):
        z = w * x
    z.label = label
    root = (z + w).tanh()
    root.backward()
    return w, root


class Tags(HTMLParser):
    """The elements of a page, and the attributes that could run something."""

    def __init__(self, text):
        super().__init__()
        self.found, self.handlers = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.handlers += [key for key, _ in attrs if key.startswith("on")]


PLAIN = Tags(steps(graph("w", "s")[1], title="t").html())


def scope_name(text):
    """What may name a scope at all."""
    return text if text.strip("/").strip() else "s"


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures(text):
    _, root = graph(text, scope_name(text))
    tree = ET.fromstring(draw(root).pipe(format="svg"))  # well-formed
    tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert tags <= {"svg", "g", "title", "polygon", "path", "text", "tspan", "ellipse", "polyline"}
    assert len([e for e in tree.iter() if e.get("class") == "edge"]) == 5


def check_page(label, title, path):
    """The page has the elements of an ordinary one, and its data say what was given."""
    page = steps(graph(label, "s")[1], title=title).write(path).read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.found == PLAIN.found
    assert tags.handlers == PLAIN.handlers
    data = re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["title"] == title


@pytest.mark.parametrize("text", HOSTILE)
def test_pages(text, tmp_path):
    check_page("w", text, tmp_path / "title.html")
    check_page(text, "t", tmp_path / "label.html")


@settings(max_examples=30)
@given(TEXTS, TEXTS)
def test_pages_of_any_text(tmp_path_factory, label, title):
    check_page(label, title or "t", tmp_path_factory.mktemp("p") / "page.html")


@settings(max_examples=100)
@given(TEXTS)
def test_mathematics(label):
    w, root = graph(label, "s")
    latex = explain(w, root).latex()
    assert latex.count(r"\begin{") == latex.count(r"\end{") == 1
    assert not re.search(r"(?<!\\)[$%#]|\\input|<(?!\})", latex)
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert "\x1b" not in str(explain(w, root))


# --- terminals ------------------------------------------------------------------------------------


def commands_no_terminal(text, lines=1):
    assert text.count("\n") == lines - 1
    assert all(c.isprintable() for c in text.replace("\n", ""))


@settings(max_examples=50)
@given(TEXTS)
def test_listings_and_messages(text):
    """A label, a scope or an operation's name forges no line and no colour."""
    pytest.importorskip("numpy")
    from autograd_bp import trace

    def f(x):
        with scope(scope_name(text)):
            y = x.sin()
        y.label = text
        return y * 2.0

    program = trace(f, 1.0)
    commands_no_terminal(str(program), len(str(trace(lambda x: x.sin() * 2.0, 1.0)).splitlines()))
    commands_no_terminal(repr(program))
    leaf = Value(-1.0, text)
    commands_no_terminal(repr(leaf))
    with pytest.raises(ValueError, match="is defined for") as raised:
        leaf.log()
    commands_no_terminal(str(raised.value))
    with detect_anomaly(), pytest.raises(FloatingPointError) as anomaly:
        Value(1e300, text) * 1e300
    commands_no_terminal(str(anomaly.value))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_missing_gradients(leaf * 2.0, [Value(1.0, text)])
    commands_no_terminal(str(caught[0].message))
    if text.isidentifier():
        return
    noisy = custom(lambda x: x, lambda x: math.inf, name=text or "x")
    y = noisy(leaf)
    commands_no_terminal(repr(y))
    with detect_anomaly(), pytest.raises(FloatingPointError) as anomaly:
        noisy(leaf).backward()
    commands_no_terminal(str(anomaly.value))


@given(TEXTS)
@settings(max_examples=30)
def test_names_of_parameters_in_messages(text):
    class One(Module):
        def __init__(self):
            self.p = Value(math.nan, text or "p")

        def parameters(self):
            return [self.p]

        def __call__(self, x):
            return self.p * x[0]

    with pytest.raises(ValueError, match="does not fit") as raised:
        One().load_state_dict({"\x1b[31m\n": 1.0})
    commands_no_terminal(str(raised.value).replace(repr(One()), ""))
    pytest.importorskip("safetensors")
    with pytest.raises(ValueError, match="finite") as raised:
        save("unwritten", One())
    commands_no_terminal(str(raised.value))
