"""explain: its sums against what backward() leaves, its paths against a count of them, its text."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp import Value, custom, dot, maximum, mean, sum_of, topological_order
from autograd_bp.pictures.explain import LIMIT, SHOWN, explain
from nn import MLP, mse

numbers = st.floats(-2.0, 2.0)


OPERATIONS = [
    lambda a, b, c: a + b,
    lambda a, b, c: a * b,
    lambda a, b, c: a - 2.0 * b,
    lambda a, b, c: a.tanh(),
    lambda a, b, c: a.sin() * b,
    lambda a, b, c: maximum(a, b),
    lambda a, b, c: dot([a, b], [b, c], a),
    lambda a, b, c: mean([a, b, a, c]),
]


@st.composite
def graphs(draw, most=12):
    """The nodes of a random graph, and its root, which is computed from all of them."""
    data = draw(st.lists(numbers, min_size=1, max_size=4))
    nodes = [Value(x, f"x{i}") for i, x in enumerate(data)]
    for _ in range(draw(st.integers(1, most))):
        operands = [nodes[draw(st.integers(0, len(nodes) - 1))] for _ in range(3)]
        nodes.append(draw(st.sampled_from(OPERATIONS))(*operands))
    root = sum_of(nodes)
    root.backward()
    return topological_order(root), root


def closeness(terms):
    """What rounding may make of a sum: it is relative to the terms."""
    return 1e-12 * math.fsum(abs(term.product) for term in terms)


# --- the sums -------------------------------------------------------------------------------------


@given(graphs())
def test_the_sum_over_consumers_is_the_gradient_of_every_node(graph):
    nodes, root = graph
    for node in nodes:
        explanation = explain(node, root)
        rounding = closeness(explanation.terms)
        assert explanation.grad == node.grad
        assert abs(explanation.total - node.grad) <= rounding
        if node is root:
            assert explanation.terms == []
            continue
        products = math.fsum(term.product for term in explanation.terms)
        assert abs(products - node.grad) <= rounding
        consumers = [term.via[0] for term in explanation.terms]
        assert consumers == [other for other in nodes if node in other.parents]
        for term in explanation.terms:
            assert term.factors[0] == pytest.approx(term.via[0].grad, rel=1e-12, abs=1e-12)


def number_of_paths(node, root):
    """By recursion from the root, as one would count on paper."""
    return 1 if root is node else sum(number_of_paths(node, p) for p in set(root.parents))


@given(graphs(most=6))
def test_the_sum_over_paths_is_the_gradient_and_no_path_is_left_out(graph):
    nodes, root = graph
    for node in nodes[:-1]:
        explanation = explain(node, root, paths=True)
        terms = explanation.terms
        assert abs(math.fsum(t.product for t in terms) - node.grad) <= closeness(terms)
        assert abs(explanation.total - node.grad) <= closeness(terms)
        assert len({term.via for term in terms}) == len(terms) == number_of_paths(node, root)
        for term in terms:
            assert term.via[-1] is root
            assert len(term.factors) == len(term.via)
            for parent, out in zip((node, *term.via), term.via, strict=False):
                assert parent in out.parents


def test_a_node_used_twice_by_one_consumer_gives_one_term():
    x = Value(3.0, "x")
    for explanation in (explain(x, x * x), explain(x, dot([x], [x]))):
        assert [(term.factors, term.product) for term in explanation.terms] == [((1.0, 6.0), 6.0)]


def test_no_gradient_is_touched_and_none_is_needed():
    x = Value(3.0, "x")
    y = x * x
    explanation = explain(x, y)
    assert (explanation.total, x.grad, y.grad) == (6.0, 0.0, 0.0)
    assert "x.grad is 0" in str(explanation)
    y.backward()
    assert "But" not in str(explain(x, y))
    y.backward()
    assert "x.grad is 12" in str(explain(x, y))
    assert (x.grad, y.grad) == (12.0, 1.0)


def test_the_gradient_may_be_a_graph():
    x = Value(3.0, "x")
    y = x * x
    y.backward(create_graph=True)
    assert explain(x, y).grad == 6.0
    assert "But" not in str(explain(x, y))


def test_nan_is_told_apart_from_a_gradient_of_another_pass():
    x = Value(math.nan, "x")
    y = x * x
    y.backward()
    assert math.isnan(explain(x, y).total)
    assert "But" not in str(explain(x, y))


def test_custom_operations_are_explained_too():
    cube = custom(lambda x: x**3, lambda x: 3 * x**2, name="cube")
    x = Value(2.0, "x")
    root = cube(x) * 2.0
    assert explain(x, root).total == 24.0
    assert "∂C/∂cube1 · ∂cube1/∂x = 2 · 12 = 24" in " ".join(str(explain(x, root)).split())


# --- limits ---------------------------------------------------------------------------------------


def test_too_many_paths_are_refused_before_they_are_walked():
    x = Value(0.1, "x")
    y = x
    for _ in range(5000):  # 2^5000 paths
        y = y + y.tanh()
    with pytest.raises(ValueError, match=f"more than {LIMIT} factors .* explain"):
        explain(x, y, paths=True)
    assert len(explain(x, y).terms) == 2


def test_long_chains_are_no_recursion():
    x = y = Value(0.5, "x")
    for _ in range(20_000):
        y = y * 1.0
    assert explain(x, y).total == 1.0
    y = x
    for _ in range(LIMIT):
        y = y * 1.0
    assert explain(x, y, paths=True).terms[0].factors == (1.0,) * LIMIT


def test_many_terms_are_cut_and_their_sum_is_shown():
    x = Value(1.0, "x")
    n = SHOWN + 5
    root = sum_of([x * float(k) for k in range(1, n + 1)])
    for paths in (False, True):
        explanation = explain(x, root, paths=paths)
        text = str(explanation)
        rest = sum(range(SHOWN + 1, n + 1))
        assert f"… 5 more, together {rest}" in text
        assert text.count(" · ") == 2 * SHOWN
        assert len(explanation.terms) == n
        assert f"5 more, together }}{rest}" in explanation.latex()


# --- what it says ---------------------------------------------------------------------------------


def test_the_text_of_a_weight():
    mlp = MLP(1, [1], seed=0)
    mlp.load_state_dict({"w[1][0][0]": 0.0, "b[1][0]": 0.0})
    cost = mse(mlp([2.0]), 1.0)  # a = 1/2, σ' = 1/4, ∂C/∂a = −1
    cost.backward()
    weight = mlp.parameters()[0]
    assert str(explain(weight, cost)) == (
        "The gradient of w[1][0][0] came from the one node that uses it:\n"
        "its gradient, times its local derivative with respect to w[1][0][0].\n"
        "\n"
        "  ∂C/∂w[1][0][0] = ∂C/∂z[1][0] · ∂z[1][0]/∂w[1][0][0]  = -0.25 · 2  = -0.5"
    )
    (path,) = explain(weight, cost, paths=True).terms
    assert [node.op for node in path.via] == ["dot", "sigmoid", "-", "**"]
    assert path.factors == (-1.0, 1.0, 0.25, 2.0)


def test_the_root_itself_and_a_node_that_is_not_in_the_graph():
    x, stranger = Value(2.0, "x"), Value(1.0, "y")
    root = x * x
    root.backward()
    assert explain(root, root).total == 1.0
    assert "∂C/∂C = 1" in str(explain(root, root))
    for paths in (False, True):
        explanation = explain(stranger, root, paths=paths)
        assert (explanation.total, explanation.terms) == (0.0, [])
        assert "C was not computed from y" in str(explanation)
        assert "∂C/∂y = 0" in str(explanation)
        assert explanation.latex().count("= 0") == 1


def test_nodes_that_share_a_label_or_have_none_are_told_apart():
    x = Value(2.0, "x")
    a, b = x * 2.0, x * 3.0
    a.label = b.label = "z"
    text = str(explain(x, a + b))
    assert "∂C/∂z#1 · ∂z#1/∂x" in text
    assert "∂C/∂z#2 · ∂z#2/∂x" in text
    text = str(explain(x, (x + 1.0) * (x / 2.0), paths=True))
    assert "∂C/∂sum1 · ∂sum1/∂x" in text
    assert "∂C/∂quotient2 · ∂quotient2/∂x" in text
    taken = Value(1.0, "C")  # so the root needs another name
    assert "∂product1/∂C" in str(explain(taken, taken * 2.0))


def test_signs_and_sizes_of_numbers():
    x = Value(2.0, "x")
    text, latex = str(explain(x, x * -3e-7)), explain(x, x * -3e-7).latex()
    assert "1 · (-3e-07)" in text
    assert r"1 \cdot (-3 \times 10^{-7}) &&= -3 \times 10^{-7}" in latex
    assert r"3 \times 10^{20}" in explain(x, x * 3e20).latex()
    zero = Value(0.0, "x")
    assert r"= \infty" in explain(zero, zero.sqrt()).latex()


def commands_and_rest(latex):
    """The commands and escaped characters of a formula, and what is left without them."""
    command = r"\\([A-Za-z]+|.)"
    return re.findall(command, latex), re.sub(command, "", latex)


def depth_of_braces(text):
    depths = [0]
    for character in text:
        depths.append(depths[-1] + {"{": 1, "}": -1}.get(character, 0))
    return depths


@given(st.text(max_size=30) | st.text(alphabet="\\{}$&#%_^~<>/! a", max_size=30))
def test_labels_are_text_in_latex(label):
    def formula(name):
        x = Value(2.0, name)
        x.grad = 3.0
        return explain(x, x * 3.0)

    usual, _ = commands_and_rest(formula("x").latex())
    commands, rest = commands_and_rest(formula(label).latex())
    assert set(commands) <= set(usual) | set("{}$&#%_ ") | {"backslash", "wedge", "sim"}
    assert not set(rest) & set("$#%^~")
    assert rest.count("_") == 1  # that of |direct
    assert rest.count("&") == 5  # between columns
    assert min(depth_of_braces(rest)) == depth_of_braces(rest)[-1] == 0
    assert not re.search("<[A-Za-z/!?]", formula(label).latex())  # opens no tag in a page
    for text in (formula(label).latex(), str(formula(label))):
        assert text.replace("\n", "").isprintable()
    assert str(formula(label)).count("\n") == 3  # two lines of words, an empty one, the formula


def test_hostile_labels_can_still_be_read():
    x = Value(2.0, "</script>\x1b[31m$\\end{x}\n‮50%")
    explanation = explain(x, x * 3.0)
    assert "∂(</script>�[31m$\\end{x} �50%)" in str(explanation)
    shown = r"\mathit{{<}/script{>}�[31m\${\backslash}end\{x\}\ �50\%}"
    assert shown in explanation.latex()


def test_long_labels_are_shortened():
    x = Value(2.0, "x" * 1000)
    assert "x" * 39 + "…" in str(explain(x, x * 3.0))
    assert "x" * 40 not in str(explain(x, x * 3.0))


def test_notebooks_show_mathematics():
    x = Value(2.0, "x")
    shown = explain(x, x * 3.0)._repr_latex_()
    assert shown.startswith(r"$\displaystyle \begin{aligned}")
    assert shown.endswith(r"\end{aligned}$")
    assert repr(explain(x, x * 3.0)) == str(explain(x, x * 3.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.0, Value(1.0)), "node must be a Value, got 1.0"),
     ((Value(1.0), [Value(1.0)]), "root must be a Value")],
)  # fmt: skip
def test_what_is_no_value_is_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        explain(*arguments)
