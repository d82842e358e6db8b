"""A trained digits MLP as a C program: train, write it as C99, compile, and compare.

    python examples/digits_in_c.py --out out

Writes out/digits_net.c and .h (the network, by `Program.to_c`) and out/digits_main.c (a program
that reads images from standard input and prints the digit of each). The C program needs neither
Python nor any library but libm.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from autograd_bp import trace
from nn import MLP, cross_entropy, fit

MAIN = """\
/* Reads images of 8 x 8 numbers from 0 to 1 and prints the digit that the network sees in each. */
#include <stdio.h>
#include "digits_net.h"

static const float parameters[] = {
#include "digits_parameters.inc"
};

int main(void)
{
    float image[64], scores[10], work[DIGITS_NET_WORK];
    for (;;) {
        for (int i = 0; i < 64; i++)
            if (scanf("%f", &image[i]) != 1) return 0;
        digits_net(parameters, image, scores, work);
        int best = 0;
        for (int k = 1; k < 10; k++)
            if (scores[k] > scores[best]) best = k;
        printf("%d\\n", best);
    }
}
"""


def main(out: Path = Path("out"), epochs: int = 12) -> float:
    """Train, write, compile and run; return the held-out accuracy of the C program."""
    digits = load_digits()
    split = train_test_split(
        digits.data / 16.0, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    X, X_test, y, y_test = split
    model = MLP(64, [32, 10], activation=["sigmoid", "linear"], seed=0)
    fit(model, X, y, loss=cross_entropy, epochs=epochs, seed=0)
    parameters = np.array([p.data for p in model.parameters()])
    network = trace(lambda parameters, image: model(list(image)), model.parameters(), X[0])
    predicted = np.argmax(np.stack(network.map(parameters, X_test), axis=-1), axis=-1)
    print(f"Python: held-out accuracy {np.mean(predicted == y_test):.1%}")

    out.mkdir(parents=True, exist_ok=True)
    network.to_c(out / "digits_net.c", "digits_net", dtype="float32")
    (out / "digits_parameters.inc").write_text(",\n".join(f"{x:.8e}f" for x in parameters), "utf-8")
    (out / "digits_main.c").write_text(MAIN, "utf-8")
    print(f"C source: {out / 'digits_net.c'}, {out / 'digits_main.c'}")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        print("no C compiler here: compile it with  cc digits_main.c digits_net.c -lm")
        return float(np.mean(predicted == y_test))
    command = [compiler, "-std=c99", "-O2", "digits_main.c", "digits_net.c", "-o", "digits", "-lm"]
    subprocess.run(command, cwd=out, check=True)  # noqa: S603 (the command stands above)
    images = "\n".join(" ".join(f"{x:g}" for x in image) for image in X_test)
    run = subprocess.run(  # noqa: S603 (the program that was compiled above)
        [(out / "digits").resolve()], input=images, capture_output=True, text=True, check=True
    )
    found = np.array(run.stdout.split(), int)
    accuracy = float(np.mean(found == y_test))
    print(f"C: held-out accuracy {accuracy:.1%}; {np.mean(found == predicted):.1%} as in Python")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the sources")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    main(arguments.out, arguments.epochs)
