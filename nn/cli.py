"""The command ``autograd-bp``: what `autograd_bp.cli` has, and commands that train networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograd_bp import cli
from autograd_bp.text import printable

__all__ = ["main"]

FILES = {"c": "network.c", "onnx": "network.onnx", "torch": "network.pt"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return cli.main(arguments, _add_commands)


def _add_commands(command: cli.Command) -> None:
    train = command("train", _train, "train a network on a table, and save it")
    train.add_argument("data", help="moons, digits, or a .csv file with a header row")
    train.add_argument(
        "--target", metavar="COLUMN", help="what to predict (default: the last column)"
    )
    train.add_argument(
        "--kind",
        choices=["classes", "quantity"],
        help="what the target is (default: classes if it is text, or 20 whole numbers at most)",
    )
    train.add_argument("--layers", default="16,16", help="hidden sizes (default %(default)s)")
    train.add_argument(
        "--activation", default="sigmoid", help="of the hidden layers (default %(default)s)"
    )
    train.add_argument(
        "--epochs", type=int, default=100, help="how often each row is seen (default %(default)s)"
    )
    train.add_argument(
        "--lr", type=float, default=0.03, help="learning rate of Adam (default %(default)s)"
    )
    train.add_argument(
        "--seed", type=int, default=0, help="of the weights and the order (default %(default)s)"
    )
    train.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("out"),
        help="folder to write to (default %(default)s)",
    )
    predict = command("predict", _predict, "what a saved network says of the rows of a table")
    predict.add_argument("model", type=Path, help="model.safetensors, as train writes it")
    predict.add_argument("data", type=Path, help="a .csv file with the columns of training")
    export = command("export", _export, "a saved network in another language")
    export.add_argument("model", type=Path, help="model.safetensors, as train writes it")
    export.add_argument(
        "--to", choices=list(FILES), default="c", help="C99, ONNX, a state_dict (default c)"
    )
    export.add_argument(
        "-o", "--out", type=Path, help="(default network.c, network.onnx or network.pt)"
    )


def _train(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from nn.tables import read_csv, sample_data, train

    if options.data in ("moons", "digits"):
        table = sample_data(options.data)
    else:
        if not Path(options.data).exists():
            raise FileNotFoundError(
                f"there is no file {options.data!r}; data is moons, digits, or a .csv file"
            )
        table = read_csv(options.data)
    report = train(
        table, options.target, _sizes(options.layers), options.activation, kind=options.kind,
        epochs=options.epochs, lr=options.lr, seed=options.seed, out=options.out,
        progress=not options.json and sys.stderr is not None,
    )  # fmt: skip
    return report, "\n".join(f"{name}: {_shown(x)}" for name, x in report.items())


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(size) for size in text.split(",")] if text else []
    except ValueError:
        sizes = [0]
    if any(size < 1 for size in sizes):
        raise ValueError(f"--layers must be sizes with commas between, such as 16,16; got {text!r}")
    return sizes


def _predict(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from nn.tables import load_network, read_csv

    network, table = load_network(options.model), read_csv(options.data)
    outputs = network.outputs(table)
    predictions = network.said(outputs)
    found: dict[str, Any] = {"predictions": predictions}
    if network.classes:
        found["probabilities"] = network.probabilities(outputs)
    return found, "\n".join(map(_shown, predictions))


def _export(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from nn.tables import load_network

    out = options.out or Path(FILES[options.to])
    network = load_network(options.model)
    network.export(options.to, out)
    return {
        "file": str(out),
        "inputs": network.columns,
        "outputs": network.output_names,
    }, printable(str(out))


def _shown(x: Any) -> str:
    if isinstance(x, list):
        return ", ".join(map(_shown, x))
    return f"{x:.6g}" if isinstance(x, float) else printable(str(x))
