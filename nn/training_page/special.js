// What the table of operations calls and JavaScript lacks.

const special = {
  sum(n, term) {
    let total = 0;
    for (let i = 0; i < n; i++) total += term(i);
    return total;
  },

  max(n, term) {
    let top = -Infinity;
    for (let i = 0; i < n; i++) top = Math.max(top, term(i)); // NaN stays
    return top;
  },

  // Near 0 by the series 2/√π·e^(−x²)·Σ 2ⁿx²ⁿ⁺¹/(1·3·…·(2n+1)), whose terms are all of one sign
  // (DLMF 7.6.2); elsewhere 1 − erfc.
  erf(x) {
    if (!(Math.abs(x) < 2)) return x < 0 ? special.erfc(-x) - 1 : 1 - special.erfc(x);
    let term = x;
    let total = 0;
    for (let n = 1; total + term !== total; n++) {
      total += term;
      term *= (2 * x * x) / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
  },

  // By the continued fraction e^(−x²)/√π / (x + ½/(x + 1/(x + 3/2/(x + …)))) for x ≥ 2
  // (DLMF 7.9.1), from its tail inwards.
  erfc(x) {
    if (x !== x) return x;
    if (x < 2) return x <= -2 ? 2 - special.erfc(-x) : 1 - special.erf(x);
    let tail = x;
    for (let n = 120; n >= 1; n--) tail = x + n / 2 / tail;
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / tail;
  },
};
