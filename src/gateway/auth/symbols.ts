/** Symbols: patterns of the symbols that a key may publish; `*` stands for any characters. */

export type SymbolRule = (symbol: string) => boolean;

/** Whether a symbol matches one of the patterns. */
export function symbolsOf(patterns: readonly string[]): SymbolRule {
  if (patterns.includes('*')) return () => true;
  const rules = patterns.map(ruleOf);
  return (symbol) => rules.some((rule) => rule(symbol));
}

/** No regular expression is used: a pattern with many stars could make it slow. */
function ruleOf(pattern: string): SymbolRule {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (symbol) => symbol === pattern;
  return (symbol) => {
    if (!symbol.startsWith(first)) return false;
    let at = first.length;
    for (const piece of rest) {
      const found = symbol.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return symbol.length - last.length >= at && symbol.endsWith(last);
  };
}
