// A tape: one sample's loss as data (the module beside says what it holds), and the chain rule.
// What an operation computes, and its derivatives, are `operations`, made from the table in ops.py.

class Tape {
  constructor({ ops, operands, parameters, inputs, outputs }) {
    this.size = ops.length;
    this.ops = ops;
    this.parameters = parameters;
    this.inputs = inputs;
    this.outputs = outputs;
    this.last = Math.max(...outputs); // with the model's output, the rest is the loss
    this.values = new Float64Array(this.size);
    this.grads = new Float64Array(this.size);
    // Of each operand, the node that it is; or -1 and the number itself.
    this.from = operands.map((list) => Int32Array.from(list, (x) => (typeof x === "string" ? -1 : x)));
    this.plain = operands.map((list) => Float64Array.from(list, (x) => (typeof x === "string" ? Number(x) : 0)));
    this.groups = ops.map((op, i) => (op === "" ? [] : groups(operations[op], operands[i].length)));
  }

  // Makes it the tape of another sample, which differs in these operands.
  patch(patches) {
    for (const [i, j, x] of patches) {
      this.from[i][j] = typeof x === "string" ? -1 : x;
      this.plain[i][j] = typeof x === "string" ? Number(x) : 0;
    }
  }

  // Fills `values`, up to the outputs or to the loss, which it returns.
  forward(parameters, inputs, { toLoss = true } = {}) {
    const { values, ops, groups, from, plain } = this;
    this.parameters.forEach((i, k) => { if (i >= 0) values[i] = parameters[k]; });
    this.inputs.forEach((i, k) => { if (i >= 0) values[i] = inputs[k]; });
    const end = toLoss ? this.size : this.last + 1;
    for (let i = 0; i < end; i++) {
      if (ops[i] === "") {
        if (from[i].length) values[i] = plain[i][0];
      } else {
        values[i] = apply(operations[ops[i]].value, this.operands(i), groups[i].length);
      }
    }
    return values[this.size - 1];
  }

  // Fills `grads` with ∂loss/∂node for every node: the same sum as `Value.backward`.
  backward() {
    const { grads, from } = this;
    grads.fill(0);
    grads[this.size - 1] = 1;
    for (let i = this.size - 1; i >= 0; i--) {
      if (this.ops[i] === "") continue;
      this.partials(i).forEach((d, j) => { if (from[i][j] >= 0) grads[from[i][j]] += carry(grads[i], d); });
    }
  }

  // The operands of node i as its operation takes them.
  operands(i) {
    const { values } = this;
    const [from, plain] = [this.from[i], this.plain[i]];
    return this.groups[i].map((group) => {
      if (!group.buffer) return from[group.start] < 0 ? plain[group.start] : values[from[group.start]];
      const { buffer, start } = group;
      for (let k = 0; k < buffer.length; k++) {
        const j = from[start + k];
        buffer[k] = j < 0 ? plain[start + k] : values[j];
      }
      return buffer;
    });
  }

  // ∂node/∂operand, for each operand of node i.
  partials(i) {
    const operands = this.operands(i);
    const y = this.values[i];
    const found = new Float64Array(this.from[i].length);
    this.groups[i].forEach(({ buffer, start }, k) => {
      const d = operations[this.ops[i]].d[k];
      const length = buffer ? buffer.length : 1;
      for (let j = 0; j < length; j++) found[start + j] = d(...operands, y, j);
    });
    return found;
  }
}

// Where each operand of an operation stands in a row of `length`: a sequence has several places.
function groups({ sequences }, length) {
  const several = sequences.filter(Boolean).length;
  const each = several ? (length - sequences.length + several) / several : 1;
  let start = 0;
  return sequences.map((isSequence) => {
    const group = { start, buffer: isSequence ? new Float64Array(each) : null };
    start += isSequence ? each : 1;
    return group;
  });
}

function apply(f, x, n) { // faster than a call with ...x
  return n === 1 ? f(x[0]) : n === 2 ? f(x[0], x[1]) : f(x[0], x[1], x[2]);
}
